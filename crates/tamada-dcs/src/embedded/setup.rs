//! The `raft` section in the store's own words.

use tamada_model::RaftConfig;
use tamada_raft::VoterConfig;
use tamada_raft::link::{Password, Security, TlsFiles};

/// What keeps strangers away.
pub fn security(config: &RaftConfig) -> Security {
    let files = &config.tls;
    let is_configured = files.cert.is_some() || files.ca.is_some();
    let tls = || TlsFiles { cert: files.cert.clone(), key: files.key.clone(), ca: files.ca.clone() };
    Security {
        password: config.password.as_ref().map(|password| Password::new(password.expose())),
        tls: is_configured.then(tls),
    }
}

/// Our own voter, if we are to have one.
pub fn voter_config(config: &RaftConfig) -> Option<VoterConfig> {
    let voter = config.voter.clone()?;
    Some(VoterConfig {
        data_dir: voter.data_dir,
        self_addr: voter.self_addr,
        bind_addr: voter.bind_addr,
        partner_addrs: config.partners.clone(),
        security: security(config),
    })
}
