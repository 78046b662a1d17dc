//! A provider that lies, is broken, or is somebody else: nobody is signed in, and it is said why.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod common;

#[path = "common/fake.rs"]
mod fake;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{CLIENT_ID, CLIENT_SECRET, Place, REDIRECT};
use fake::{Fake, Key, base64url, unsigned};
use serde_json::{Value, json};
use thingward_crypto::system_rng;
use thingward_model::Timestamp;
use thingward_oidc::{Identity, OidcError, Pending, Provider, ProviderName, TokenFault};
use thingward_policy::UserRole;
use url::Url;

const NOW: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(NOW + seconds)
}

fn redirect() -> Url {
    REDIRECT.parse().unwrap()
}

/// A provider with one key, and somebody on the way to it.
struct Scene {
    place: Place,
    fake: Fake,
    provider: Provider,
    key: Key,
    pending: Pending,
    /// Of the URL that the browser was sent to.
    query: BTreeMap<String, String>,
}

impl Scene {
    async fn new(key: Key) -> Self {
        let place = Place::new();
        let fake = Fake::start(&place).await;
        let provider = Provider::new(place.settings(fake.port)).unwrap();
        let begun = provider.begin(&redirect(), at(0), &mut system_rng()).await.unwrap();
        assert!(begun.url.as_str().starts_with(&fake.url("/authorize?tenant=1&")), "{}", begun.url);
        let query = begun.url.query_pairs().into_owned().collect();
        fake.says("/keys", 200, &json!({ "keys": [key.published("k1")] }));
        Self { place, fake, provider, key, pending: begun.pending, query }
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.fake.url(""),
            "sub": "248289761001",
            "aud": CLIENT_ID,
            "exp": NOW + 600,
            "iat": NOW,
            "nonce": self.query["nonce"],
            "preferred_username": "jo",
            "groups": ["readers", "cooks"],
        })
    }

    fn header(&self) -> Value {
        json!({ "alg": self.key.algorithm(), "kid": "k1" })
    }

    fn answer(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("code", "c0de").append_pair("state", &self.query["state"]);
        query.append_pair("iss", &self.fake.url("")).finish()
    }

    /// What comes of an answer of the browser.
    async fn answered(&self, query: &str, seconds: i64) -> Result<Identity, OidcError> {
        self.provider.finish(&redirect(), self.pending.as_bytes(), query, at(seconds)).await
    }

    /// What comes of a token.
    async fn token(&self, token: &str) -> Result<Identity, OidcError> {
        let tokens = json!({ "token_type": "Bearer", "access_token": "acce55", "id_token": token });
        self.fake.says("/token", 200, &tokens);
        self.answered(&self.answer(), 1).await
    }

    /// What comes of a right token that says this.
    async fn says(&self, claims: &Value) -> Result<Identity, OidcError> {
        self.token(&self.key.sign(&self.header(), claims)).await
    }
}

fn role(role: UserRole) -> std::collections::BTreeSet<UserRole> {
    [role].into()
}

#[tokio::test]
async fn somebody_signs_in_whatever_of_the_three_algorithms_the_provider_uses() {
    for key in [Key::rsa(), Key::p256(), Key::ed25519()] {
        let scene = Scene::new(key).await;
        let identity = scene.says(&scene.claims()).await.unwrap();
        let want = Identity {
            subject: "248289761001".to_owned(),
            name: Some("jo".to_owned()),
            roles: role(UserRole::Viewer),
        };
        assert_eq!(identity, want, "{}", scene.key.algorithm());
        // Everything was in the token.
        assert!(scene.fake.asked("/me").is_empty());
    }
}

#[tokio::test]
async fn the_provider_is_asked_as_the_standards_say() {
    let scene = Scene::new(Key::p256()).await;
    for (name, want) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", REDIRECT),
        ("scope", "openid profile"),
        ("code_challenge_method", "S256"),
        ("tenant", "1"),
    ] {
        assert_eq!(scene.query[name], want, "{name}");
    }
    scene.says(&scene.claims()).await.unwrap();
    let asked = &scene.fake.asked("/token")[0];
    // The name and the secret are form-encoded before they are base64.
    let basic = "dGhpbmcrd2FyZDphJTJCc2VjcmV0JTJGd2l0aCUzQXNpZ25zJTNE";
    assert_eq!(asked.authorization, format!("Basic {basic}"));
    let form = &asked.form;
    assert_eq!((form["code"].as_str(), form["redirect_uri"].as_str()), ("c0de", REDIRECT));
    assert_eq!(form["grant_type"], "authorization_code");
    let challenge = thingward_crypto::sha256(&[form["code_verifier"].as_bytes()]);
    assert_eq!(base64url(challenge), scene.query["code_challenge"]);
    assert!(!form.contains_key("client_secret"));

    // A provider that takes the secret in the form only.
    let mut configuration = scene.fake.configuration();
    configuration["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    scene.fake.says("/.well-known/openid-configuration", 200, &configuration);
    let scene = Scene { provider: Provider::new(scene.provider.settings().clone()).unwrap(), ..scene };
    scene.says(&scene.claims()).await.unwrap();
    let asked = &scene.fake.asked("/token")[1];
    assert_eq!(asked.authorization, "");
    assert_eq!(
        (asked.form["client_id"].as_str(), asked.form["client_secret"].as_str()),
        (CLIENT_ID, CLIENT_SECRET)
    );
}

#[tokio::test]
async fn a_token_that_says_anything_else_signs_in_nobody() {
    let scene = Scene::new(Key::ed25519()).await;
    let own = scene.fake.url("");
    for (name, value, fault) in [
        ("iss", json!(format!("{own}/")), TokenFault::Issuer),
        ("iss", json!(null), TokenFault::Issuer),
        ("aud", json!("other"), TokenFault::Audience),
        ("aud", json!(["other"]), TokenFault::Audience),
        ("aud", json!([]), TokenFault::Audience),
        ("aud", json!(null), TokenFault::Audience),
        ("aud", json!(vec![CLIENT_ID; 17]), TokenFault::Audience),
        ("aud", json!([CLIENT_ID, "other"]), TokenFault::AuthorizedParty),
        ("azp", json!("other"), TokenFault::AuthorizedParty),
        ("exp", json!(NOW - 60), TokenFault::Expired),
        ("exp", json!("never"), TokenFault::Expired),
        ("exp", json!(null), TokenFault::Expired),
        ("iat", json!(NOW + 62), TokenFault::NotYet),
        ("iat", json!(null), TokenFault::NotYet),
        ("nbf", json!(NOW + 62), TokenFault::NotYet),
        ("nbf", json!("now"), TokenFault::NotYet),
        ("nonce", json!(""), TokenFault::Nonce),
        ("nonce", json!(scene.query["state"]), TokenFault::Nonce),
        ("nonce", json!(null), TokenFault::Nonce),
        ("sub", json!(""), TokenFault::Subject),
        ("sub", json!("a\nb"), TokenFault::Subject),
        ("sub", json!("a".repeat(256)), TokenFault::Subject),
        ("sub", json!(1), TokenFault::Subject),
    ] {
        let mut claims = scene.claims();
        claims[name] = value.clone();
        assert_eq!(scene.says(&claims).await, Err(OidcError::Token(fault)), "{name} {value}");
    }
    for (name, value) in [
        ("aud", json!([CLIENT_ID])),
        ("azp", json!(CLIENT_ID)),
        ("exp", json!(NOW - 58)),
        ("iat", json!(NOW + 61)),
        ("nbf", json!(f64::from(1_799_999_999) + 0.5)),
        ("sub", json!("a".repeat(255))),
    ] {
        let mut claims = scene.claims();
        claims[name] = value.clone();
        assert!(scene.says(&claims).await.is_ok(), "{name} {value}");
    }
    let mut claims = scene.claims();
    (claims["aud"], claims["azp"]) = (json!(["other", CLIENT_ID]), json!(CLIENT_ID));
    assert!(scene.says(&claims).await.is_ok());
}

#[tokio::test]
async fn a_token_that_the_provider_did_not_sign_signs_in_nobody() {
    let scene = Scene::new(Key::rsa()).await;
    let (claims, header) = (scene.claims(), scene.header());
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        header
    };
    let published = scene.key.published("k1");
    let modulus = published["n"].as_str().unwrap();
    let hmac = |secret: &[u8]| {
        let message = unsigned(&with("alg", json!("HS256")), &claims);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        format!("{message}.{}", base64url(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
    };
    let other = Key::rsa();
    let right = scene.key.sign(&header, &claims);
    let (message, signature) = right.rsplit_once('.').unwrap();
    let mut changed = claims.clone();
    changed["groups"] = json!(["admins"]);
    let changed = unsigned(&header, &changed);
    let wrong = |fault| Err(OidcError::Token(fault));
    use TokenFault::{Algorithm, Key as NoKey, Malformed, Signature};
    for (what, token, fault) in [
        ("none", format!("{}.", unsigned(&with("alg", json!("none")), &claims)), Algorithm),
        ("None", format!("{}.{signature}", unsigned(&with("alg", json!("None")), &claims)), Algorithm),
        ("HS256 with the modulus as it is published", hmac(modulus.as_bytes()), Algorithm),
        ("HS256 with our secret", hmac(CLIENT_SECRET.as_bytes()), Algorithm),
        ("RS512", scene.key.sign(&with("alg", json!("RS512")), &claims), Algorithm),
        ("no algorithm", scene.key.sign(&json!({ "kid": "k1" }), &claims), Malformed),
        ("another key of the same name", other.sign(&header, &claims), Signature),
        ("no signature", format!("{message}."), Signature),
        ("other claims", format!("{changed}.{signature}"), Signature),
        ("another algorithm's name", scene.key.sign(&with("alg", json!("ES256")), &claims), NoKey),
        ("a key of its own", other.sign(&with("jwk", other.published("k1")), &claims), Signature),
        ("an unknown key", scene.key.sign(&with("kid", json!("k2")), &claims), NoKey),
        ("a logout token", scene.key.sign(&with("typ", json!("logout+jwt")), &claims), Malformed),
        ("critical extensions", scene.key.sign(&with("crit", json!(["x"])), &claims), Malformed),
        ("no claims", scene.key.sign(&header, &json!("text")), Malformed),
        ("two parts", message.to_owned(), Malformed),
        ("four parts", format!("{right}.x"), Malformed),
        ("padding", format!("{right}="), Malformed),
        ("nothing", String::new(), Malformed),
        ("65 KiB", format!("{right}{}", "A".repeat(65 * 1024)), Malformed),
    ] {
        assert_eq!(scene.token(&token).await, wrong(fault), "{what}");
    }
    // Some providers name no key.
    let unnamed = scene.key.sign(&json!({ "alg": "RS256", "typ": "JWT" }), &claims);
    assert!(scene.token(&unnamed).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_belongs_to_something_else_signs_in_nobody() {
    let scene = Scene::new(Key::ed25519()).await;
    let token = scene.key.sign(&scene.header(), &scene.claims());
    scene.fake.says("/token", 200, &json!({ "id_token": token }));
    let own = base64url("x");
    let (state, iss) = (&scene.query["state"], scene.fake.url(""));
    for (query, want) in [
        (String::new(), "its state is another one"),
        (format!("code=c&iss={iss}"), "its state is another one"),
        (format!("code=c&state={own}&iss={iss}"), "its state is another one"),
        (format!("code=c&state={state}x&iss={iss}"), "its state is another one"),
        (format!("code=c&state={state}&state={state}&iss={iss}"), "a parameter is there twice"),
        (format!("code=c&state={state}&iss={iss}/"), "its issuer is another one"),
        (format!("error=access_denied&state={state}&iss=https://evil.test"), "its issuer is another one"),
        (format!("code=c&state={state}"), "its issuer is missing"),
        (format!("state={state}&iss={iss}"), "its code is missing"),
        (format!("code=&state={state}&iss={iss}"), "its code is missing"),
        (format!("code={}&state={state}&iss={iss}", "c".repeat(8192)), "it is too long"),
    ] {
        assert_eq!(scene.answered(&query, 1).await, Err(OidcError::Foreign(want)), "{query}");
    }
    for (error, want) in [("access_denied", "access_denied"), ("<b>&", "unknown"), ("", "unknown")] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("error", error), ("state", state), ("iss", &iss)])
            .finish();
        let said = scene.answered(&query, 1).await.unwrap_err();
        assert_eq!(said.to_string(), format!("the provider did not sign the person in: {want}"));
        assert_eq!(said.word(), "provider-declined");
    }
    // Nothing of this went to the provider.
    assert!(scene.fake.asked("/token").is_empty());

    assert_eq!(scene.answered(&scene.answer(), 600).await, Err(OidcError::Expired));
    let elsewhere = thingward_oidc::Settings {
        id: ProviderName::new("other").unwrap(),
        ..scene.place.settings(scene.fake.port)
    };
    let elsewhere = Provider::new(elsewhere).unwrap();
    let mixed = elsewhere.finish(&redirect(), scene.pending.as_bytes(), &scene.answer(), at(1)).await;
    assert_eq!(mixed, Err(OidcError::Foreign("it began with another provider")));
    let nothing = scene.provider.finish(&redirect(), b"", &scene.answer(), at(1)).await;
    assert_eq!(nothing, Err(OidcError::Foreign("nothing of it is remembered")));
    assert!(scene.answered(&scene.answer(), 599).await.is_ok());
}

#[tokio::test]
async fn a_provider_without_issuer_in_its_answers_may_leave_it_out_but_not_name_another() {
    let scene = Scene::new(Key::ed25519()).await;
    let mut configuration = scene.fake.configuration();
    configuration["authorization_response_iss_parameter_supported"] = json!(false);
    scene.fake.says("/.well-known/openid-configuration", 200, &configuration);
    let scene = Scene { provider: Provider::new(scene.provider.settings().clone()).unwrap(), ..scene };
    let token = scene.key.sign(&scene.header(), &scene.claims());
    scene.fake.says("/token", 200, &json!({ "id_token": token }));
    let query = format!("code=c&state={}", scene.query["state"]);
    assert!(scene.answered(&query, 1).await.is_ok());
    let other = scene.answered(&format!("{query}&iss=https://evil.test"), 1).await;
    assert_eq!(other, Err(OidcError::Foreign("its issuer is another one")));
}

#[tokio::test]
async fn a_code_that_is_refused_and_answers_that_are_none_have_their_errors() {
    let scene = Scene::new(Key::ed25519()).await;
    let said = async || scene.answered(&scene.answer(), 1).await.unwrap_err().to_string();
    scene.fake.says("/token", 400, &json!({ "error": "invalid_grant", "error_description": "secret" }));
    assert_eq!(said().await, "the provider did not take the code: invalid_grant");
    scene.fake.says("/token", 401, &json!({ "error": "invalid_client" }));
    assert_eq!(said().await, "the provider did not take the code: invalid_client");
    let status = "the provider's answer cannot be used: its token endpoint answers with another status";
    scene.fake.says("/token", 500, &json!({ "error": "invalid_grant" }));
    assert_eq!(said().await, status);
    scene.fake.says("/token", 307, &json!({}));
    assert_eq!(said().await, status);
    assert!(scene.fake.asked("/elsewhere").is_empty());
    let none = "the provider's answer cannot be used: its token endpoint gives no ID token";
    scene.fake.says("/token", 200, &json!({ "access_token": "x" }));
    assert_eq!(said().await, none);
    scene.fake.says_text("/token", 200, "<html>".to_owned());
    assert_eq!(said().await, none);
    scene.fake.says_text("/token", 200, " ".repeat(1024 * 1024 + 1));
    assert_eq!(said().await, "the provider does not answer: length limit exceeded");
}

#[tokio::test]
async fn a_provider_that_is_not_who_it_should_be_gets_nobody() {
    let place = Place::new();
    let fake = Fake::start(&place).await;
    let begin = async |settings| {
        let provider = Provider::new(settings).unwrap();
        provider.begin(&redirect(), at(0), &mut system_rng()).await.map(drop).unwrap_err()
    };
    let word = "provider-unreachable";
    // Another authority.
    let stranger = Place::new();
    let settings = thingward_oidc::Settings { roots: stranger.roots(), ..place.settings(fake.port) };
    assert_eq!(begin(settings).await.word(), word);
    // Another name.
    let issuer = format!("https://127.0.0.1:{}", fake.port).parse().unwrap();
    let settings = thingward_oidc::Settings { issuer, ..place.settings(fake.port) };
    assert_eq!(begin(settings).await.word(), word);
    // Nobody.
    assert_eq!(begin(place.settings(1)).await.word(), word);
    // A file without authorities, or none.
    let client_secret_file = place.path().join("none");
    let settings = thingward_oidc::Settings { client_secret_file, ..place.settings(fake.port) };
    assert!(Provider::new(settings).err().unwrap().to_string().starts_with("client_secret_file: /"));
    let empty = place.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for roots in [empty, place.path().join("none.pem")] {
        let settings = thingward_oidc::Settings { roots, ..place.settings(fake.port) };
        let error = Provider::new(settings).err().unwrap().to_string();
        assert!(error.starts_with("roots: /") && error.contains(".pem"), "{error}");
    }
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_left_alone_for_a_while() {
    let place = Place::new();
    let fake = Fake::start(&place).await;
    let path = "/.well-known/openid-configuration";
    let provider = Provider::new(place.settings(fake.port)).unwrap();
    let begin = async |seconds| provider.begin(&redirect(), at(seconds), &mut system_rng()).await.map(drop);
    fake.says(path, 503, &json!({}));
    for seconds in [0, 1, 4] {
        assert_eq!(begin(seconds).await.unwrap_err().word(), "provider-unusable");
    }
    assert_eq!(fake.asked(path).len(), 1);
    fake.says(path, 200, &fake.configuration());
    begin(5).await.unwrap();
    // And what it says is believed for an hour.
    begin(3604).await.unwrap();
    assert_eq!(fake.asked(path).len(), 2);
    begin(3605).await.unwrap();
    assert_eq!(fake.asked(path).len(), 3);
}

#[tokio::test]
async fn a_new_key_is_asked_for_but_not_for_every_token() {
    let mut scene = Scene::new(Key::ed25519()).await;
    scene.says(&scene.claims()).await.unwrap();
    scene.key = Key::p256();
    let token = scene.key.sign(&json!({ "alg": "ES256", "kid": "k2" }), &scene.claims());
    scene.fake.says("/keys", 200, &json!({ "keys": [scene.key.published("k2")] }));
    let tokens = json!({ "id_token": token });
    scene.fake.says("/token", 200, &tokens);
    let unknown = Err(OidcError::Token(TokenFault::Key));
    for seconds in [1, 30] {
        assert_eq!(scene.answered(&scene.answer(), seconds).await, unknown);
    }
    assert_eq!(scene.fake.asked("/keys").len(), 1);
    assert!(scene.answered(&scene.answer(), 31).await.is_ok());
    assert_eq!(scene.fake.asked("/keys").len(), 2);
    // The old one is gone now, and is not asked for again at once.
    scene.fake.says("/keys", 500, &json!({}));
    let old = scene.key.sign(&json!({ "alg": "ES256", "kid": "k1" }), &scene.claims());
    scene.fake.says("/token", 200, &json!({ "id_token": old }));
    assert_eq!(scene.answered(&scene.answer(), 60).await, unknown);
    assert_eq!(scene.fake.asked("/keys").len(), 2);
}

#[tokio::test]
async fn what_the_token_leaves_out_is_asked_for_and_must_be_about_the_same_person() {
    let scene = Scene::new(Key::ed25519()).await;
    let mut claims = scene.claims();
    claims["groups"] = Value::Null;
    let sub = "248289761001";
    let more = json!({ "sub": sub, "preferred_username": "other", "groups": ["admins"] });
    scene.fake.says("/me", 200, &more);
    let identity = scene.says(&claims).await.unwrap();
    // What the signed token says goes first.
    assert_eq!((identity.name.as_deref(), identity.roles), (Some("jo"), role(UserRole::Administrator)));
    assert_eq!(scene.fake.asked("/me")[0].authorization, "Bearer acce55");
    let other = Err(OidcError::Unusable("it says something about another person"));
    scene.fake.says("/me", 200, &json!({ "sub": "other", "groups": ["admins"] }));
    assert_eq!(scene.says(&claims).await, other);
    let nothing = Err(OidcError::Unusable("it says nothing about the person"));
    scene.fake.says("/me", 401, &more);
    assert_eq!(scene.says(&claims).await, nothing);
    scene.fake.says_text("/me", 200, "<html>".to_owned());
    assert_eq!(scene.says(&claims).await, nothing);
}

#[tokio::test]
async fn names_and_roles_come_from_the_claims_that_the_operator_names() {
    let mut scene = Scene::new(Key::ed25519()).await;
    let identity = async |scene: &Scene, groups: Value, name: Value| {
        let mut claims = scene.claims();
        (claims["groups"], claims["preferred_username"]) = (groups, name);
        scene.says(&claims).await.unwrap()
    };
    let none = std::collections::BTreeSet::new();
    for (groups, roles) in [
        (json!(["admins", "readers"]), [UserRole::Administrator, UserRole::Viewer].into()),
        (json!("admins"), role(UserRole::Administrator)),
        (json!([]), none.clone()),
        (json!(["Admins", 7, null]), none.clone()),
        (json!({ "admins": true }), none.clone()),
        (json!([vec!["x"; 63], vec!["admins"]].concat()), role(UserRole::Administrator)),
        (json!([vec!["x"; 64], vec!["admins"]].concat()), none),
    ] {
        assert_eq!(identity(&scene, groups.clone(), json!("jo")).await.roles, roles, "{groups}");
    }
    for (name, want) in [
        (json!("jo@example.com"), Some("jo@example.com".to_owned())),
        (json!(""), None),
        (json!("a\u{7}"), None),
        (json!("a".repeat(257)), None),
        (json!(["jo"]), None),
    ] {
        assert_eq!(identity(&scene, json!([]), name.clone()).await.name, want, "{name}");
    }
    let settings = thingward_oidc::Settings {
        roles_claim: "/realm_access/roles".to_owned(),
        name_claim: "https://example.com/name".to_owned(),
        ..scene.place.settings(scene.fake.port)
    };
    scene.provider = Provider::new(settings).unwrap();
    let mut claims = scene.claims();
    claims["realm_access"] = json!({ "roles": ["readers"] });
    claims["https://example.com/name"] = json!("other");
    let identity = scene.says(&claims).await.unwrap();
    assert_eq!((identity.name.as_deref(), identity.roles), (Some("other"), role(UserRole::Viewer)));
}

#[tokio::test]
async fn a_provider_that_says_nothing_keeps_nobody_waiting_for_long() {
    let place = Place::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let provider = Provider::new(place.settings(listener.local_addr().unwrap().port())).unwrap();
    let started = std::time::Instant::now();
    let begun = provider.begin(&redirect(), at(0), &mut system_rng()).await.map(drop);
    assert_eq!(begun.unwrap_err().to_string(), "the provider does not answer: not in 10 s");
    assert!(started.elapsed() < Duration::from_secs(15));
}
