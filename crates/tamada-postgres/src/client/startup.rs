//! From an open stream to a ready session: the start-up packet and whatever proof of identity the server asks for.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use tamada_model::PgVersion;

use super::{Client, Target, refusal, unreachable};
use crate::PgError;

pub(super) async fn start(client: &mut Client, target: &Target) -> Result<(), PgError> {
    let mut packet = BytesMut::new();
    frontend::startup_message(parameters(target), &mut packet).map_err(|error| unreachable(&client.at, error))?;
    client.send(&packet).await?;
    authenticate(client, target).await?;
    await_ready(client).await
}

fn parameters(target: &Target) -> Vec<(&str, &str)> {
    let mut parameters = vec![
        ("user", target.user.as_str()),
        ("database", target.database.as_str()),
        ("application_name", target.application_name.as_str()),
        ("client_encoding", "UTF8"),
    ];
    if !target.options.is_empty() {
        parameters.push(("options", target.options.as_str()));
    }
    if target.replication {
        parameters.push(("replication", "true"));
    }
    parameters
}

async fn authenticate(client: &mut Client, target: &Target) -> Result<(), PgError> {
    let password = || {
        let secret = target.password.as_ref().map(|secret| secret.expose().as_bytes());
        secret.ok_or_else(|| {
            denied(format!("the server wants a password for \"{}\" and none is configured", target.user))
        })
    };
    loop {
        match client.receive().await? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => send_password(client, password()?).await?,
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(target.user.as_bytes(), password()?, body.salt());
                send_password(client, hash.as_bytes()).await?;
            }
            Message::AuthenticationSasl(body) => scram(client, &body, password()?).await?,
            Message::ErrorResponse(body) => return Err(refusal(&client.at, body.fields())),
            Message::NoticeResponse(_) => {}
            _ => return Err(denied("the server asks for a kind of authentication that is not supported".to_owned())),
        }
    }
}

fn denied(message: String) -> PgError {
    PgError::Refused { sqlstate: "28000".to_owned(), message }
}

async fn send_password(client: &mut Client, password: &[u8]) -> Result<(), PgError> {
    let mut packet = BytesMut::new();
    frontend::password_message(password, &mut packet).map_err(|error| unreachable(&client.at, error))?;
    client.send(&packet).await
}

async fn scram(client: &mut Client, offer: &AuthenticationSaslBody, password: &[u8]) -> Result<(), PgError> {
    let offered = offer.mechanisms().any(|name| Ok(name == SCRAM_SHA_256)).unwrap_or(false);
    if !offered {
        return Err(denied("the server offers no SCRAM-SHA-256".to_owned()));
    }
    let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
    let mut packet = BytesMut::new();
    frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut packet)
        .map_err(|error| unreachable(&client.at, error))?;
    client.send(&packet).await?;
    let Message::AuthenticationSaslContinue(body) = proof(client).await? else { return Err(out_of_step()) };
    scram.update(body.data()).map_err(|error| denied(error.to_string()))?;
    packet.clear();
    frontend::sasl_response(scram.message(), &mut packet).map_err(|error| unreachable(&client.at, error))?;
    client.send(&packet).await?;
    let Message::AuthenticationSaslFinal(body) = proof(client).await? else { return Err(out_of_step()) };
    scram.finish(body.data()).map_err(|error| denied(error.to_string()))
}

async fn proof(client: &mut Client) -> Result<Message, PgError> {
    match client.receive().await? {
        Message::ErrorResponse(body) => Err(refusal(&client.at, body.fields())),
        other => Ok(other),
    }
}

fn out_of_step() -> PgError {
    denied("the server broke off the SCRAM exchange".to_owned())
}

async fn await_ready(client: &mut Client) -> Result<(), PgError> {
    loop {
        match client.receive().await? {
            Message::ReadyForQuery(_) => return Ok(()),
            Message::ErrorResponse(body) => return Err(refusal(&client.at, body.fields())),
            Message::ParameterStatus(body) if body.name().is_ok_and(|name| name == "server_version") => {
                let version = body.value().ok().and_then(PgVersion::parse);
                client.version = version.unwrap_or(client.version);
            }
            _ => {}
        }
    }
}
