//! Reading the JSON object of a request (rest-api.md 1.4).

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_LENGTH;
use hyper::{Request, StatusCode};
use tamada_model::Document;
use tamada_wire::json;
use tokio::time::timeout;

use super::answer::Answer;

/// A dynamic configuration is some kilobytes; this is far beyond any.
const BODY_MAX: usize = 1024 * 1024;

const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Whether the endpoint means something without a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Need {
    Mandatory,
    Optional,
}

pub(super) async fn read(request: Request<Incoming>, need: Need) -> Result<Document, Answer> {
    let Some(length) = request.headers().get(CONTENT_LENGTH) else {
        return without_body(need, StatusCode::LENGTH_REQUIRED);
    };
    if length.as_bytes().iter().all(|digit| *digit == b'0') {
        return without_body(need, StatusCode::BAD_REQUEST);
    }
    let collected = timeout(BODY_WITHIN, Limited::new(request.into_body(), BODY_MAX).collect()).await;
    let body = match collected {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Answer::Page(StatusCode::PAYLOAD_TOO_LARGE)),
        Ok(Err(_)) => return Err(Answer::Page(StatusCode::BAD_REQUEST)),
        Err(_) => return Err(Answer::Page(StatusCode::REQUEST_TIMEOUT)),
    };
    let object = json::object(&body).ok_or(Answer::Page(StatusCode::BAD_REQUEST))?;
    if object.is_empty() { without_body(need, StatusCode::BAD_REQUEST) } else { Ok(object) }
}

fn without_body(need: Need, otherwise: StatusCode) -> Result<Document, Answer> {
    match need {
        Need::Optional => Ok(Document::new()),
        Need::Mandatory => Err(Answer::Page(otherwise)),
    }
}
