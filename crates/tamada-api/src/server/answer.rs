//! Answers, and how they go over the wire (rest-api.md 1; docs/decisions/0003-http-keepalive.md).
//!
//! A client that speaks HTTP/1.0 gets what it always got: no length, the connection ends with the body, and bare
//! status lines where only the code matters. One that speaks 1.1 also learns the length and may keep the connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, SERVER, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode, Version};
use serde_json::Value;
use tamada_model::{Reply, ReplyBody, Wall};
use tamada_wire::{json, time};

use super::rules::Rules;

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The status line and nothing else.
    Code(StatusCode),
    Body {
        status: StatusCode,
        kind: Kind,
        body: Bytes,
    },
    /// 401 with the invitation to authenticate.
    Challenge(&'static str),
    /// The error page of the status.
    Page(StatusCode),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Json,
    /// Plain text, called HTML by the original.
    Text,
    Metrics,
}

impl Kind {
    fn content_type(self) -> &'static str {
        match self {
            Kind::Json => "application/json",
            Kind::Text => "text/html",
            Kind::Metrics => "text/plain",
        }
    }
}

impl Answer {
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Answer::Body { status, kind: Kind::Text, body: text.into().into() }
    }

    pub fn json(status: StatusCode, value: &Value) -> Self {
        Answer::Body { status, kind: Kind::Json, body: json::spaced(value).into() }
    }

    pub fn challenge(text: &'static str) -> Self {
        Answer::Challenge(text)
    }

    pub fn healthy(healthy: bool) -> StatusCode {
        if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    }

    pub fn into_response(self, version: Version, rules: &Rules, date: HeaderValue) -> Response<AnswerBody> {
        let old = version < Version::HTTP_11;
        let (status, headers, body) = match self {
            Answer::Code(status) => (status, HeaderMap::new(), Bytes::new()),
            Answer::Body { status, kind, body } => (status, normal_headers(kind, None, rules, date), body),
            Answer::Challenge(text) => {
                let challenge = (WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Patroni\""));
                let headers = normal_headers(Kind::Text, Some(challenge), rules, date);
                (StatusCode::UNAUTHORIZED, headers, Bytes::from_static(text.as_bytes()))
            }
            Answer::Page(status) => {
                let page = page(status);
                (status, page_headers(page.len(), rules, date), Bytes::from(page))
            }
        };
        let mut response = Response::new(AnswerBody { rest: Some(body), length_is_told: !old });
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if old {
            *response.version_mut() = Version::HTTP_10;
        }
        response
    }
}

/// In the original's order: server, date, what belongs to the endpoint, the type, and what the operator added.
fn normal_headers(kind: Kind, own: Option<(HeaderName, HeaderValue)>, rules: &Rules, date: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6 + rules.extra_headers.len());
    headers.insert(SERVER, rules.server_header.clone());
    headers.insert(DATE, date);
    headers.extend(own);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind.content_type()));
    for (name, value) in &rules.extra_headers {
        headers.append(name, value.clone());
    }
    headers
}

fn page_headers(length: usize, rules: &Rules, date: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(SERVER, rules.server_header.clone());
    headers.insert(DATE, date);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html;charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers
}

/// What a person sees who opens the wrong page; the command line looks for the words of 501.
fn page(status: StatusCode) -> String {
    let (code, reason) = (status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let explanation = match code {
        400 => "The request could not be understood; a JSON object is expected",
        404 => "Nothing matches the request",
        408 => "The request took too long",
        409 => "Somebody else changed it at the same time",
        411 => "The request must tell the length of its body",
        413 => "The body of the request is too large",
        501 => "Server does not support this operation",
        502 => "There is nothing to show, or it is switched off",
        503 => "It can not be answered at present",
        _ => reason,
    };
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{code} {reason}</title></head>\n\
         <body><h1>{code} {reason}</h1><p>{explanation}.</p></body></html>\n"
    )
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match reply.body {
            ReplyBody::Text(text) => Answer::text(status, text),
            ReplyBody::Json(value) => Answer::json(status, &value),
            ReplyBody::Page => Answer::Page(status),
        }
    }
}

/// The whole body in one piece.
pub(super) struct AnswerBody {
    rest: Option<Bytes>,
    /// Not towards HTTP/1.0: there the end of the connection is the end of the body.
    length_is_told: bool,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.rest.take().filter(|rest| !rest.is_empty()).map(|rest| Ok(Frame::data(rest))))
    }

    fn is_end_stream(&self) -> bool {
        self.length_is_told && self.rest.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.rest.as_ref().map_or(0, Bytes::len) as u64;
        if self.length_is_told { SizeHint::with_exact(length) } else { SizeHint::new() }
    }
}

/// The `Date` header, printed once per second.
#[derive(Default)]
pub(super) struct DateHeader {
    last: Mutex<Option<(i64, HeaderValue)>>,
}

impl DateHeader {
    pub fn at(&self, now: Wall) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((second, value)) if *second == now.seconds() => value.clone(),
            Some(_) | None => {
                let text = time::http_date(now);
                let value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
                *last = Some((now.seconds(), value.clone()));
                value
            }
        }
    }
}
