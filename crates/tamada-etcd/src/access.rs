//! Who may ask.
//!
//! etcd has users, each with a password. The store has one password for all, which voters and tools show each other; the
//! endpoint takes the same one, under any user name, and gives a token for it. Without a password in the configuration
//! everybody may ask, and logging in is refused in etcd's words, which tell a client to go on without.
//!
//! The token says when it ends and is signed with a key made from the password. So any voter accepts what another has
//! given, nothing is remembered, and a new password ends all tokens. Its end is a calendar time; a day is long enough
//! that clocks which disagree by an hour or two do no harm.

use ring::hmac;

use crate::errors::{AUTH_FAILED, AUTH_NOT_ENABLED, Error, INVALID_TOKEN, USER_EMPTY};

const TOKEN_SECONDS: u64 = 24 * 60 * 60;

/// Sets the key apart from whatever else is made from the password.
const PURPOSE: &[u8] = b"tamada etcd endpoint token 1";

/// The door of the endpoint.
pub struct Access(Option<Lock>);

struct Lock {
    password: Box<[u8]>,
    key: hmac::Key,
}

impl Access {
    /// An empty password is none.
    pub fn new(password: Option<&str>) -> Self {
        Self(password.filter(|password| !password.is_empty()).map(|password| {
            let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, password.as_bytes()), PURPOSE);
            Lock { password: password.as_bytes().into(), key: hmac::Key::new(hmac::HMAC_SHA256, made.as_ref()) }
        }))
    }

    /// A token for the password.
    pub fn log_in(&self, user: &str, password: &str, now_seconds: u64) -> Result<String, Error> {
        let lock = self.0.as_ref().ok_or(AUTH_NOT_ENABLED)?;
        if user.is_empty() {
            return Err(USER_EMPTY);
        }
        if !lock.opens_to(password) {
            return Err(AUTH_FAILED);
        }
        Ok(lock.token(now_seconds + TOKEN_SECONDS))
    }

    /// Whether somebody who shows this token, or none, may ask.
    pub fn admit(&self, token: Option<&str>, now_seconds: u64) -> Result<(), Error> {
        match (&self.0, token) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(USER_EMPTY),
            (Some(lock), Some(token)) if lock.accepts(token, now_seconds) => Ok(()),
            (Some(_), Some(_)) => Err(INVALID_TOKEN),
        }
    }

    /// Whether somebody who shows this password with every request may ask.
    pub fn admit_password(&self, password: Option<&str>) -> Result<(), Error> {
        match (&self.0, password) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(USER_EMPTY),
            (Some(lock), Some(password)) if lock.opens_to(password) => Ok(()),
            (Some(_), Some(_)) => Err(AUTH_FAILED),
        }
    }
}

impl Lock {
    /// Compares in a time that does not tell how much was right.
    fn opens_to(&self, password: &str) -> bool {
        let shown = hmac::sign(&self.key, password.as_bytes());
        hmac::verify(&self.key, &self.password, shown.as_ref()).is_ok()
    }

    fn token(&self, ends_at: u64) -> String {
        let signature = hmac::sign(&self.key, &signed(ends_at));
        format!("{ends_at}.{}", hex(signature.as_ref()))
    }

    fn accepts(&self, token: &str, now_seconds: u64) -> bool {
        let Some((ends_at, _)) = token.split_once('.') else { return false };
        let Ok(ends_at) = ends_at.parse() else { return false };
        let (genuine, shown) = (self.token(ends_at), hmac::sign(&self.key, token.as_bytes()));
        now_seconds < ends_at && hmac::verify(&self.key, genuine.as_bytes(), shown.as_ref()).is_ok()
    }
}

fn signed(ends_at: u64) -> Vec<u8> {
    format!("token until {ends_at}").into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn one_voter_accepts_the_token_of_another_for_a_day() {
        let (one, other) = (Access::new(Some("secret")), Access::new(Some("secret")));
        let token = one.log_in("root", "secret", NOW).expect("the right password");
        assert_eq!(other.admit(Some(&token), NOW), Ok(()));
        assert_eq!(other.admit(Some(&token), NOW + TOKEN_SECONDS), Err(INVALID_TOKEN));
        assert_eq!(Access::new(Some("new")).admit(Some(&token), NOW), Err(INVALID_TOKEN));
    }

    #[test]
    fn a_token_cannot_be_made_to_last_longer() {
        let access = Access::new(Some("secret"));
        let token = access.log_in("root", "secret", NOW).expect("the right password");
        let (_, signature) = token.split_once('.').expect("two parts");
        let longer = format!("{}.{signature}", NOW + 10 * TOKEN_SECONDS);
        for wrong in [longer.as_str(), "", ".", "7", "root:secret", &format!("{token}0")] {
            assert_eq!(access.admit(Some(wrong), NOW), Err(INVALID_TOKEN), "{wrong}");
        }
    }

    #[test]
    fn a_stranger_is_told_what_is_missing() {
        let access = Access::new(Some("secret"));
        assert_eq!(access.log_in("", "secret", NOW), Err(USER_EMPTY));
        assert_eq!(access.log_in("root", "guess", NOW), Err(AUTH_FAILED));
        assert_eq!(access.admit(None, NOW), Err(USER_EMPTY));
        assert_eq!(access.admit_password(Some("guess")), Err(AUTH_FAILED));
        assert_eq!(access.admit_password(Some("secret")), Ok(()));
    }

    #[test]
    fn without_a_password_everybody_may_ask() {
        for open in [Access::new(None), Access::new(Some(""))] {
            assert_eq!(open.admit(None, NOW), Ok(()));
            assert_eq!(open.admit(Some("of before"), NOW), Ok(()));
            assert_eq!(open.log_in("root", "secret", NOW), Err(AUTH_NOT_ENABLED));
        }
    }
}
