//! The CRL at the gateway: fetched from the service, kept on disk, in effect for new and for live sessions.

use std::collections::BTreeSet;
use std::fs;

use thingward_agent::home::{Home, Identity};
use thingward_agent::http::HttpsClient;
use thingward_crypto::sealed::write_private;
use thingward_model::Timestamp;
use thingward_model::clock::now;
use thingward_pki::tls::{ALPN_HTTP, ExpectedServer};

const PATH: &str = "/.well-known/thingward/crl";
/// Room for 400 000 revoked certificates.
const BYTES_MAX: usize = 16 << 20;

/// A CRL, and whom it names.
pub(crate) struct Crl {
    pub(crate) der: Vec<u8>,
    pub(crate) serials: BTreeSet<Vec<u8>>,
}

impl Crl {
    /// A CRL of the authority with this certificate that is not over.
    fn new(der: Vec<u8>, issuing: &[u8], now: Timestamp) -> Result<Self, String> {
        let list = thingward_pki::Crl::read(&der, issuing).map_err(|e| e.to_string())?;
        if list.next_update <= now {
            return Err("it is over".to_owned());
        }
        Ok(Self { der, serials: list.revoked })
    }
}

/// The service's latest, or the one on disk when the service is out of reach; `None` when there is neither.
pub(crate) async fn latest(identity: &Identity, home: &Home) -> Option<Crl> {
    let issuing = identity.chain.get(1).map(Vec::as_slice).unwrap_or_default();
    match fetch(identity, issuing, home).await {
        Ok(crl) => Some(crl),
        Err(reason) => {
            tracing::warn!(%reason, "the CRL was not fetched");
            let kept = Crl::new(fs::read(home.crl_path()).ok()?, issuing, now());
            kept.inspect_err(|reason| tracing::warn!(%reason, "the CRL on disk is no use")).ok()
        }
    }
}

async fn fetch(identity: &Identity, issuing: &[u8], home: &Home) -> Result<Crl, String> {
    let tls = identity.tls(ExpectedServer::Service, ALPN_HTTP).map_err(|e| e.to_string())?;
    let client = HttpsClient::new(identity.membership.service.clone(), tls).body_bytes_max(BYTES_MAX);
    let der = client.get(PATH).await.map_err(|e| e.to_string())?.to_vec();
    let crl = Crl::new(der, issuing, now())?;
    write_private(&home.crl_path(), &crl.der).map_err(|e| e.to_string())?;
    Ok(crl)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use thingward_crypto::{SignatureAlgorithm, SoftwareKey, system_rng};
    use thingward_pki::ca::Revoked;
    use thingward_pki::{CertificateAuthority, Lifetimes};

    use super::*;

    #[test]
    fn a_crl_counts_when_it_is_of_our_authority_and_not_over() {
        let key = || SoftwareKey::generate(SignatureAlgorithm::EcdsaP256, &mut system_rng());
        let at = |seconds: i64| Timestamp::from_seconds(1_800_000_000 + seconds);
        let lifetimes = Lifetimes { crl: Duration::from_secs(100), ..Lifetimes::default() };
        let authority =
            |domain| CertificateAuthority::create(domain, lifetimes, &key(), Box::new(key()), at(0)).unwrap();
        let (ours, other) = (authority("ours.test"), authority("other.test"));
        let crl = ours.crl(1, &[Revoked { serial: vec![7], at: at(0) }], at(0)).unwrap();
        let check = |authority: &CertificateAuthority, now| {
            Crl::new(crl.clone(), &authority.issuing_der().unwrap(), now).map(|crl| crl.serials)
        };
        assert_eq!(check(&ours, at(99)), Ok(BTreeSet::from([vec![7]])));
        assert_eq!(check(&ours, at(100)), Err("it is over".to_owned()));
        assert_eq!(check(&other, at(99)), Err("signature does not verify".to_owned()));
    }
}
