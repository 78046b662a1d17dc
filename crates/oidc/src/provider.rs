//! Sending somebody to a provider, and reading who came back.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use rand_core::CryptoRng;
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;
use thingward_model::Timestamp;
use thingward_policy::UserRole;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::answer::Answer;
use crate::client::{Ask, Client};
use crate::discovery::{Authentication, Metadata};
use crate::error::{ErrorCode, OidcError, TokenFault};
use crate::keys::KeySet;
use crate::pending::{Parts, Pending};
use crate::settings::{ClientSecret, Settings, SettingsError};
use crate::token::{self, Expected, Header};

/// How long configuration and keys are believed without asking again.
const AGE_SECONDS_MAX: u64 = 3600;
/// Keys that are younger than this are not asked for again, whatever a token names.
const AGE_SECONDS_MIN: u64 = 30;
/// How long a provider that did not answer is left alone.
const RETRY_SECONDS: u64 = 5;
/// Most texts of the roles claim that are looked at.
const ROLES_MAX: usize = 64;
/// Longest name, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// A provider that people can sign in with.
pub struct Provider {
    settings: Settings,
    secret: ClientSecret,
    client: Client,
    known: Mutex<Known>,
}

/// A sign-in that began.
pub struct Begun {
    /// Where the browser goes.
    pub url: Url,
    /// What the browser brings back, sealed.
    pub pending: Pending,
}

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The provider's name for the person: never another person's, and the only part of this to recognize one by.
    pub subject: String,
    /// What the person is called there, if that is said in at most 256 bytes. Two people may be called the same.
    pub name: Option<String>,
    /// What the person is here; nothing where no text of the claim stands for a role.
    pub roles: BTreeSet<UserRole>,
}

/// What the provider published, as long as it is believed.
#[derive(Default)]
struct Known {
    metadata: Fetched<Metadata>,
    keys: Fetched<KeySet>,
}

struct Fetched<T> {
    got: Option<(Timestamp, Arc<T>)>,
    failed: Option<(Timestamp, OidcError)>,
}

impl<T> Default for Fetched<T> {
    fn default() -> Self {
        Self { got: None, failed: None }
    }
}

impl<T> Fetched<T> {
    /// What holds without asking: something that is younger than `age`, or that asking failed just now.
    fn known(&self, now: Timestamp, age: u64) -> Option<Result<Arc<T>, OidcError>> {
        // A clock that was set back makes nothing young for years.
        let younger =
            |at: Timestamp, age: u64| (now.as_seconds().saturating_sub(at.as_seconds())).unsigned_abs() < age;
        match (&self.got, &self.failed) {
            (Some((at, value)), _) if younger(*at, age) => Some(Ok(Arc::clone(value))),
            (_, Some((at, error))) if younger(*at, RETRY_SECONDS) => Some(Err(error.clone())),
            _ => None,
        }
    }

    fn keep(&mut self, now: Timestamp, result: Result<T, OidcError>) -> Result<Arc<T>, OidcError> {
        match result {
            Ok(value) => {
                let value = Arc::new(value);
                self.failed = None;
                self.got = Some((now, Arc::clone(&value)));
                Ok(value)
            }
            Err(error) => {
                self.failed = Some((now, error.clone()));
                Err(error)
            }
        }
    }
}

/// What the token endpoint gives: OpenID Connect Core §3.1.3.3.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

impl Provider {
    /// Reads the files that the settings name. Nobody is asked yet.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] names the file and what is wrong with it.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let secret = ClientSecret::read(&settings.client_secret_file).map_err(SettingsError::Secret)?;
        let client = Client::new(&settings.roots).map_err(SettingsError::Roots)?;
        Ok(Self { settings, secret, client, known: Mutex::default() })
    }

    /// What was decided about it.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Begins a sign-in that comes back to `redirect`.
    ///
    /// # Errors
    ///
    /// [`OidcError`] when the provider's configuration cannot be had.
    pub async fn begin(
        &self,
        redirect: &Url,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<Begun, OidcError> {
        let parts = Parts::new(now, rng);
        let metadata = self.metadata(now).await?;
        let mut url = metadata.authorization.clone();
        let scope = format!("openid {}", self.settings.scopes.join(" "));
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect.as_str())
            .append_pair("scope", scope.trim_end())
            .append_pair("state", &parts.state())
            .append_pair("nonce", &parts.nonce())
            .append_pair("code_challenge", &parts.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(Begun { url, pending: parts.seal(self.settings.id) })
    }

    /// Finishes a sign-in: `redirect` as at its begin, `pending` as the browser brought it back, and the query that the
    /// browser came with.
    ///
    /// # Errors
    ///
    /// [`OidcError`]: nobody is signed in.
    pub async fn finish(
        &self,
        redirect: &Url,
        pending: &[u8],
        query: &str,
        now: Timestamp,
    ) -> Result<Identity, OidcError> {
        let parts = Parts::open(pending, self.settings.id, now)?;
        let answer = Answer::parse(query)?;
        let state = answer.state.as_deref().unwrap_or_default();
        if !bool::from(state.as_bytes().ct_eq(parts.state().as_bytes())) {
            return Err(OidcError::Foreign("its state is another one"));
        }
        let metadata = self.metadata(now).await?;
        // Before anything else of the answer: a provider must not speak, nor get a code, in the name of another.
        match answer.issuer.as_deref() {
            Some(issuer) if issuer != self.settings.issuer.as_str() => {
                return Err(OidcError::Foreign("its issuer is another one"));
            }
            None if metadata.names_issuer => {
                return Err(OidcError::Foreign("its issuer is missing"));
            }
            _ => {}
        }
        if let Some(error) = answer.error.as_deref() {
            return Err(OidcError::Declined(ErrorCode::new(error)));
        }
        let code = answer.code.as_deref().filter(|code| !code.is_empty());
        let code = code.ok_or(OidcError::Foreign("its code is missing"))?;
        let tokens = self.exchange(&metadata, redirect, code, &parts).await?;
        let claims = self.verified(&metadata, &tokens.id_token, &parts, now).await?;
        self.identity(&metadata, claims, tokens.access_token.map(Zeroizing::new)).await
    }

    async fn metadata(&self, now: Timestamp) -> Result<Arc<Metadata>, OidcError> {
        // Held while asking, so that a crowd asks once.
        let mut known = self.known.lock().await;
        match known.metadata.known(now, AGE_SECONDS_MAX) {
            Some(known) => known,
            None => {
                let body = self.document(self.settings.issuer.discovery()).await;
                let metadata = body.and_then(|body| Metadata::parse(&body, &self.settings.issuer));
                known.metadata.keep(now, metadata)
            }
        }
    }

    /// Keys with one among them that may have signed a token with this header.
    async fn keys(&self, url: &Url, header: &Header, now: Timestamp) -> Result<Arc<KeySet>, OidcError> {
        let mut known = self.known.lock().await;
        // A provider may have a new key since; the second round asks for it, but not for every token.
        for age in [AGE_SECONDS_MAX, AGE_SECONDS_MIN] {
            let keys = match known.keys.known(now, age) {
                Some(known) => known?,
                None => {
                    let body = self.document(url).await;
                    known.keys.keep(now, body.and_then(|body| KeySet::parse(&body)))?
                }
            };
            if keys.candidates(header.algorithm, header.key.as_deref()).next().is_some() {
                return Ok(keys);
            }
        }
        Err(TokenFault::Key.into())
    }

    async fn document(&self, url: &Url) -> Result<bytes::Bytes, OidcError> {
        let answered = self.client.ask(Ask { url, authorization: None, form: None }).await?;
        if answered.status == StatusCode::OK {
            Ok(answered.body)
        } else {
            Err(OidcError::Unusable("its configuration or keys are not where they should be"))
        }
    }

    /// The code for tokens: RFC 6749 §4.1.3, RFC 7636 §4.5.
    async fn exchange(
        &self,
        metadata: &Metadata,
        redirect: &Url,
        code: &str,
        parts: &Parts,
    ) -> Result<Tokens, OidcError> {
        let (authorization, form) = self.token_request(metadata, redirect, code, parts)?;
        let ask = Ask { url: &metadata.token, authorization, form: Some(form) };
        let answered = self.client.ask(ask).await?;
        if answered.status == StatusCode::OK {
            let bad = OidcError::Unusable("its token endpoint gives no ID token");
            return serde_json::from_slice(&answered.body).map_err(|_| bad);
        }
        let error: Option<Value> = serde_json::from_slice(&answered.body).ok();
        match error.as_ref().and_then(|error| error.get("error")?.as_str()) {
            Some(error) if answered.status.is_client_error() => {
                Err(OidcError::Refused(ErrorCode::new(error)))
            }
            _ => Err(OidcError::Unusable("its token endpoint answers with another status")),
        }
    }

    /// What the code is exchanged with: who we are, in a header or in the form, and the form.
    fn token_request(
        &self,
        metadata: &Metadata,
        redirect: &Url,
        code: &str,
        parts: &Parts,
    ) -> Result<(Option<HeaderValue>, Zeroizing<String>), OidcError> {
        let (client_id, secret) = (&self.settings.client_id, self.secret.expose());
        // Room for all of it: what a growing text leaves behind would not be wiped.
        let room = 3 * (code.len() + redirect.as_str().len() + client_id.len() + secret.len());
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(room + 256));
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect.as_str())
            .append_pair("code_verifier", &parts.verifier());
        let authorization = match metadata.authentication {
            Authentication::Basic => Some(basic(client_id, secret)?),
            Authentication::Post => {
                form.append_pair("client_id", client_id).append_pair("client_secret", secret);
                None
            }
        };
        Ok((authorization, Zeroizing::new(form.finish())))
    }

    async fn verified(
        &self,
        metadata: &Metadata,
        id_token: &str,
        parts: &Parts,
        now: Timestamp,
    ) -> Result<Value, OidcError> {
        let header = Header::read(id_token)?;
        let keys = self.keys(&metadata.keys, &header, now).await?;
        let expected = Expected {
            issuer: self.settings.issuer.as_str(),
            client_id: &self.settings.client_id,
            nonce: &parts.nonce(),
            now,
        };
        Ok(token::check(id_token, &header, &keys, &expected)?)
    }

    /// What the claims say. Providers that keep an ID token small tell the rest at another place, for the access token.
    async fn identity(
        &self,
        metadata: &Metadata,
        claims: Value,
        access_token: Option<Zeroizing<String>>,
    ) -> Result<Identity, OidcError> {
        let Settings { name_claim, roles_claim, roles, .. } = &self.settings;
        let subject = token::subject(&claims).ok_or(TokenFault::Subject)?.to_owned();
        let missing = claim(&claims, name_claim).is_none()
            || (!roles.is_empty() && claim(&claims, roles_claim).is_none());
        let more = match (&metadata.user_info, access_token) {
            (Some(url), Some(token)) if missing => self.user_info(url, &token, &subject).await?,
            _ => Value::Null,
        };
        let find = |name: &str| claim(&claims, name).or_else(|| claim(&more, name));
        let texts = match find(roles_claim) {
            Some(Value::Array(all)) => all.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        let texts = texts.iter().take(ROLES_MAX).filter_map(Value::as_str);
        let fits =
            |name: &&str| (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains(char::is_control);
        Ok(Identity {
            subject,
            name: find(name_claim).and_then(Value::as_str).filter(fits).map(str::to_owned),
            roles: texts.filter_map(|text| roles.get(text)).copied().collect(),
        })
    }

    /// OpenID Connect Core §5.3.
    async fn user_info(&self, url: &Url, token: &str, subject: &str) -> Result<Value, OidcError> {
        let value = Zeroizing::new(format!("Bearer {token}"));
        let bad = OidcError::Unusable("it says nothing about the person");
        let authorization = Some(sensitive(&value).ok_or(bad.clone())?);
        let answered = self.client.ask(Ask { url, authorization, form: None }).await?;
        let claims: Option<Value> = serde_json::from_slice(&answered.body).ok();
        let claims = claims.filter(|_| answered.status == StatusCode::OK).ok_or(bad)?;
        // §5.3.2: else a token of somebody else could have been slipped in.
        if token::subject(&claims) != Some(subject) {
            return Err(OidcError::Unusable("it says something about another person"));
        }
        Ok(claims)
    }
}

/// A claim by its name, or by the way to it.
fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    let value = if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) };
    value.filter(|value| !value.is_null())
}

/// RFC 6749 §2.3.1: both are form-encoded first.
fn basic(client_id: &str, secret: &str) -> Result<HeaderValue, OidcError> {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = Zeroizing::new(format!("{}:{}", encoded(client_id), encoded(secret)));
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(both.as_bytes())));
    sensitive(&value).ok_or(OidcError::Unusable("our name there fits into no header"))
}

/// A header that no log shows.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
