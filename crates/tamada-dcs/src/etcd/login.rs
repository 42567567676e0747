//! User and password, and the token that etcd gives for them (dcs-layout.md 9.2).

use std::sync::Mutex;

use tamada_etcd::messages::AuthenticateRequest;
use tamada_model::Secret;

use super::client::{Trouble, locked};
use super::rpc::{Connection, Token};
use super::sort::is_auth_off;

pub struct Login {
    user: Option<String>,
    password: Option<Secret>,
    state: Mutex<State>,
    /// Held while logging in: one token is enough for everybody.
    underway: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
enum State {
    Out,
    In(Token),
    /// etcd runs without users. Until it complains.
    NotNeeded,
}

impl Login {
    pub fn new(user: Option<String>, password: Option<Secret>) -> Self {
        Self { user, password, state: Mutex::new(State::Out), underway: tokio::sync::Mutex::default() }
    }

    /// What to send along; logs in if that was not done yet.
    pub async fn token(&self, connection: &Connection) -> Result<Option<Token>, Trouble> {
        let Some(user) = &self.user else { return Ok(None) };
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let _one_at_a_time = self.underway.lock().await;
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let password = self.password.as_ref().map_or("", Secret::expose).to_owned();
        let state = match connection.call(AuthenticateRequest { name: user.clone(), password }, None).await {
            Ok(answer) => {
                State::In(Token::new(&answer.token).ok_or_else(|| Trouble::Refused(self.refusal("its token")))?)
            }
            Err(status) if is_auth_off(&status) => State::NotNeeded,
            Err(status) if is_wrong_password(&status) => return Err(Trouble::Refused(self.refusal(status.message()))),
            Err(status) => return Err(Trouble::Said(Box::new(status), false)),
        };
        *locked(&self.state) = state;
        Ok(self.known().flatten())
    }

    /// The token was not accepted; `None`: whatever it was. A newer one stays.
    pub fn forget(&self, used: Option<&Token>) {
        let mut state = locked(&self.state);
        let newer = match (&*state, used) {
            (State::In(token), Some(used)) => !token.is(used),
            (State::In(_) | State::Out | State::NotNeeded, _) => false,
        };
        if !newer {
            *state = State::Out;
        }
    }

    /// What to tell the operator about a final refusal.
    pub fn refusal(&self, why: &str) -> String {
        let why = why.trim_start_matches("etcdserver: ");
        match &self.user {
            Some(user) => format!(
                "etcd refuses user \"{user}\" ({why}); check etcd3.username, etcd3.password and the role of that user"
            ),
            None => format!("etcd wants a user ({why}); set etcd3.username and etcd3.password"),
        }
    }

    fn known(&self) -> Option<Option<Token>> {
        match &*locked(&self.state) {
            State::Out => None,
            State::In(token) => Some(Some(token.clone())),
            State::NotNeeded => Some(None),
        }
    }
}

fn is_wrong_password(status: &tonic::Status) -> bool {
    ["authentication failed", "user name not found", "invalid user ID or password"]
        .iter()
        .any(|text| status.message().contains(text))
}
