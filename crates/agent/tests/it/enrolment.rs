use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thingward_agent::enrol::{
    Anchor, Credential, EnrolError, InitialCredential, enrol, renew, renewal_at, renewal_due,
};
use thingward_agent::home::{Home, HomeError};
use thingward_agent::http::HttpError;
use thingward_crypto::SignatureAlgorithm;

use crate::installation::{Installation, key, member};
use crate::{enrolled, private_folder, start, until};

fn claim(text: &str) -> Credential {
    Credential::Claim(text.parse().unwrap())
}

async fn attempt(installation: &Installation, path: &Path, text: &str) -> Result<(), EnrolError> {
    let home = Home::open(path).unwrap();
    let enrolled = enrol(&home, &installation.https, &claim(text), SignatureAlgorithm::EcdsaP256).await;
    let is_enrolled = home.is_enrolled();
    assert_eq!(is_enrolled, enrolled.is_ok());
    if !is_enrolled {
        assert!(matches!(home.identity().map(|_| ()), Err(HomeError::NotEnrolled { .. })));
    }
    enrolled.map(|_| ())
}

#[tokio::test]
async fn a_claim_becomes_an_identity_that_survives_a_restart() {
    for algorithm in [SignatureAlgorithm::EcdsaP256, SignatureAlgorithm::Ed25519] {
        let installation = Installation::start().await;
        let folder = private_folder();
        let home = Home::open(folder.path()).unwrap();
        let text = installation.claim("meter-1");
        let made = enrol(&home, &installation.https, &claim(&text), algorithm).await.unwrap();
        assert_eq!(made.leaf.principal, member("meter-1"));
        assert_eq!(made.key.public_key().algorithm(), algorithm);
        drop(home);
        let home = Home::open(folder.path()).unwrap();
        let back = home.identity().unwrap();
        assert_eq!((back.chain, back.root, back.membership), (made.chain, made.root, made.membership));
        assert_eq!(back.leaf.key, *back.key.public_key());
        let again = enrol(&home, &installation.https, &claim(&text), algorithm).await.map(|_| ());
        assert!(matches!(again, Err(EnrolError::AlreadyEnrolled(_))));
    }
}

#[tokio::test]
async fn a_server_with_another_root_never_sees_the_code() {
    let (ours, theirs) = (Installation::start().await, Installation::start().await);
    let folder = private_folder();
    let text = ours.claim("meter-1");
    let refused = attempt(&theirs, folder.path(), &text).await.unwrap_err();
    assert!(matches!(refused, EnrolError::OtherRoot { .. }), "{refused}");
    attempt(&ours, folder.path(), &text).await.unwrap();
}

#[tokio::test]
async fn a_wrong_code_is_refused_in_the_words_of_the_service() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let text = installation.claim("meter-1").replacen("METER", "WRONG", 1);
    let refused = attempt(&installation, folder.path(), &text).await.unwrap_err();
    assert!(matches!(&refused, EnrolError::Http(HttpError::Status { status: 401, .. })), "{refused}");
    assert!(refused.to_string().contains("not known or was used"), "{refused}");
    assert!(!refused.to_string().contains("WRONG"), "{refused}");
}

#[tokio::test]
async fn a_certificate_for_another_key_or_a_membership_of_somebody_else_is_not_taken() {
    let installation = Installation::start().await;
    let folder = private_folder();
    installation.faults.other_key.store(true, Ordering::SeqCst);
    let text = installation.claim("meter-1");
    let refused = attempt(&installation, folder.path(), &text).await;
    assert!(matches!(refused, Err(EnrolError::OtherKey)));
    installation.faults.other_key.store(false, Ordering::SeqCst);
    installation.faults.other_name.store(true, Ordering::SeqCst);
    let text = installation.claim("meter-1");
    let refused = attempt(&installation, folder.path(), &text).await;
    assert!(matches!(refused, Err(EnrolError::OtherMember { .. })));
    installation.faults.other_name.store(false, Ordering::SeqCst);
    let text = installation.claim("meter-1");
    attempt(&installation, folder.path(), &text).await.unwrap();
}

#[tokio::test]
async fn an_identity_of_a_maker_that_this_service_does_not_know_is_refused() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = Home::open(folder.path()).unwrap();
    // Of another authority, which stands for a maker here.
    let maker = Installation::start().await;
    let other = private_folder();
    let foreign = enrolled(&maker, other.path(), "meter-9").await.identity().unwrap();
    let initial = InitialCredential {
        chain: foreign.chain,
        key: key(),
        tenant: "acme".parse().unwrap(),
        root: Anchor::Certificate(installation.root.clone()),
    };
    let credential = Credential::Initial(Box::new(initial));
    let refused = enrol(&home, &installation.https, &credential, SignatureAlgorithm::EcdsaP256).await;
    assert!(refused.is_err());
    assert!(!home.is_enrolled());
}

#[tokio::test]
async fn a_renewal_gives_the_same_key_a_later_certificate() {
    let installation = Installation::start().await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let old = home.identity().unwrap();
    assert!(!renewal_due(&old.leaf, thingward_model::clock::now()));
    let (begin, end) = (old.leaf.not_before, old.leaf.not_after);
    let share =
        |at: thingward_model::Timestamp| at.micros_since(begin) as f64 / end.micros_since(begin) as f64;
    let due = share(renewal_at(&old.leaf));
    assert!((0.6666..=0.7167).contains(&due), "{due}");
    let new = renew(&home).await.unwrap();
    assert_eq!(new.leaf.key, old.leaf.key);
    assert_ne!(new.leaf.serial, old.leaf.serial);
    assert_eq!(home.identity().unwrap().leaf.serial, new.leaf.serial);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_renews_itself_and_connects_with_the_new_certificate() {
    // The certificate begins five minutes before it is issued, so two thirds are over in a few seconds.
    let installation = Installation::with_lifetime(Duration::from_secs(152)).await;
    let folder = private_folder();
    let home = enrolled(&installation, folder.path(), "meter-1").await;
    let before = home.identity().unwrap().leaf.serial;
    let agent = start(&home);
    until("renewed", || installation.renewals.load(Ordering::SeqCst) > 0).await;
    until("saved", || home.identity().is_ok_and(|i| i.leaf.serial != before)).await;
    agent.stop().await.unwrap();
}
