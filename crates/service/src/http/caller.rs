//! Who calls, and whether it may.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use thingward_model::clock::now;
use thingward_model::{TenantName, UserName};
use thingward_policy::{Act, Action, Permit, Reader, Resource, Subject};
use thingward_store::StoreError;
use thingward_store::registry::{Session, Token, UserId};
use zeroize::Zeroizing;

use super::app::App;
use super::cookie;
use super::error::ApiError;
use super::order::Occasion;
use crate::access::{Access, token_subject};
use crate::audit::Deed;

/// Longest token that is looked up, in bytes. Ours have 55.
const TOKEN_BYTES_MAX: usize = 128;

/// Where a browser says a request comes from: Fetch Metadata §2.4.
const SEC_FETCH_SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// Over TLS, with the client certificates that the handshake checked; none when the client showed none.
    Tls {
        /// Where it is.
        address: IpAddr,
        /// Leaf first.
        chain: Arc<[CertificateDer<'static>]>,
    },
    /// Without TLS on this machine: a proxy in front of us, or a browser beside us.
    Local {
        /// Where it is, or where the proxy says that it is.
        address: IpAddr,
    },
    /// On the administration socket.
    Admin,
}

/// What a proxy in front of us appends: who asked it.
const FORWARDED_FOR: header::HeaderName = header::HeaderName::from_static("x-forwarded-for");

impl Peer {
    /// Who is behind it, where it is a proxy on this machine: the last address is the proxy's own word.
    pub(super) fn behind(self, headers: &HeaderMap) -> Self {
        let Self::Local { address } = self else { return self };
        let last = headers.get_all(FORWARDED_FOR).iter().next_back().and_then(|value| value.to_str().ok());
        let said = last.and_then(|all| all.rsplit(',').next()).and_then(|one| one.trim().parse().ok());
        Self::Local { address: said.unwrap_or(address) }
    }

    /// Where it is.
    pub(super) const fn address(&self) -> IpAddr {
        match self {
            Self::Tls { address, .. } | Self::Local { address } => *address,
            Self::Admin => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

/// What a request shows, with which it can be checked again while an answer runs.
#[derive(Clone)]
pub(super) enum Shown {
    /// It came on the administration socket, which is enough.
    Socket,
    /// A token.
    Bearer(Zeroizing<String>),
    /// The cookie of a session.
    Cookie(Zeroizing<String>),
}

/// What was shown, and works.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// The administration socket.
    Socket,
    /// A token.
    Token(Token),
    /// A session.
    Session(Session),
}

/// Somebody who calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Whom policies see.
    pub(super) subject: Subject,
    /// What they showed.
    pub(super) credential: Credential,
    /// What they ask on.
    pub(super) occasion: Occasion,
}

impl Credential {
    /// Whom policies see.
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Socket => Subject::Operator,
            Self::Token(token) => token_subject(token),
            Self::Session(session) => Subject::User(session.user.1),
        }
    }

    /// As the audit log names whose it is.
    pub(super) fn actor(&self) -> String {
        match self {
            Self::Socket => "operator".to_owned(),
            Self::Token(token) => format!("token/{}", token.id),
            Self::Session(session) => format!("user/{}", session.user.0),
        }
    }

    /// The only tenant that it reaches; `None` when it reaches all.
    pub(super) const fn tenant(&self) -> Option<TenantName> {
        match self {
            Self::Socket => None,
            Self::Token(token) => token.tenant,
            Self::Session(session) => Some(session.tenant),
        }
    }

    /// The way into a tenant. Another than its own is one that does not exist.
    pub(super) fn enter(&self, tenant: TenantName) -> Result<(), ApiError> {
        match self.tenant() {
            Some(own) if own != tenant => Err(ApiError::NotFound("tenant")),
            _ => Ok(()),
        }
    }

    /// Whether it works now.
    ///
    /// # Errors
    ///
    /// [`ApiError::BadToken`], [`ApiError::NoSession`].
    pub(super) async fn still_works(&self, app: &App) -> Result<(), ApiError> {
        let registry = app.shared.store.registry();
        match self {
            Self::Socket => Ok(()),
            Self::Token(token) if registry.token_works(&token.id, now()).await? => Ok(()),
            Self::Token(_) => Err(ApiError::BadToken),
            Self::Session(session) => match registry.session_owner(&session.tenant, &session.id).await {
                Ok(_) => Ok(()),
                Err(StoreError::NotFound { .. }) => Err(ApiError::NoSession),
                Err(other) => Err(other.into()),
            },
        }
    }

    /// Whose this is, now.
    ///
    /// # Errors
    ///
    /// [`ApiError::BadToken`], [`ApiError::NoSession`].
    pub(super) async fn of(shown: &Shown, app: &App) -> Result<Self, ApiError> {
        let registry = app.shared.store.registry();
        let unknown = |answer: ApiError| {
            move |e| match e {
                StoreError::NotFound { .. } => answer,
                other => other.into(),
            }
        };
        Ok(match shown {
            Shown::Socket => Self::Socket,
            Shown::Bearer(token) => {
                let token = registry.token(token, now()).await;
                Self::Token(token.map_err(unknown(ApiError::BadToken))?)
            }
            Shown::Cookie(secret) => {
                let session = registry.session(secret, now()).await;
                Self::Session(session.map_err(unknown(ApiError::NoSession))?)
            }
        })
    }
}

impl Caller {
    /// The token, when it is one.
    pub(super) const fn token(&self) -> Option<&Token> {
        match &self.credential {
            Credential::Token(token) => Some(token),
            Credential::Socket | Credential::Session(_) => None,
        }
    }

    /// The session, when it is one.
    pub(super) const fn session(&self) -> Option<&Session> {
        match &self.credential {
            Credential::Session(session) => Some(session),
            Credential::Socket | Credential::Token(_) => None,
        }
    }

    /// The user that signed in, or made the token.
    pub(super) const fn user(&self) -> Option<&(UserId, UserName)> {
        match &self.credential {
            Credential::Socket => None,
            Credential::Token(token) => token.user.as_ref(),
            Credential::Session(session) => Some(&session.user),
        }
    }

    /// Whether what was shown is for this at all.
    pub(super) const fn may_in_scope(&self, action: Action) -> bool {
        match self.subject {
            Subject::Token { scopes, .. } => scopes.contains(action),
            Subject::Operator | Subject::User(_) | Subject::Member(_) => true,
        }
    }

    /// As the audit log names them.
    pub(super) fn actor(&self) -> String {
        self.credential.actor()
    }

    /// Whether they own the data directory.
    pub(super) const fn is_operator(&self) -> Result<(), ApiError> {
        match self.credential {
            Credential::Socket => Ok(()),
            _ => Err(ApiError::Denied("only the administration socket does this")),
        }
    }

    /// The permit to do `A` by the policies that every tenant begins with: for what is there before a tenant, or is
    /// about all of them. Nobody who is bound to one gets it.
    pub(super) fn permit_at_first<A: Act>(&self, tenant: TenantName) -> Result<Permit<A>, ApiError> {
        if self.credential.tenant().is_some() {
            return Err(ApiError::Denied("who calls is of one tenant"));
        }
        let access = Access::default();
        access.add_tenant(tenant);
        access
            .decide(&tenant, &self.subject, &Resource::Tenant)
            .map_err(|denied| ApiError::Denied(denied.reason))
    }

    /// As [`Self::permit_at_first`], for all tenants.
    pub(super) fn permit_for_all<A: Act>(&self) -> Result<(), ApiError> {
        let all = "all".parse().map_err(|_| ApiError::Internal)?;
        self.permit_at_first::<A>(all).map(drop)
    }
}

impl FromRequestParts<Arc<App>> for Shown {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        if matches!(parts.extensions.get::<Peer>(), Some(Peer::Admin)) {
            return Ok(Self::Socket);
        }
        if parts.headers.contains_key(header::AUTHORIZATION) {
            return bearer(parts).map(Self::Bearer);
        }
        let secret = cookie::read(&parts.headers, cookie::SESSION).ok_or(ApiError::NoToken)?;
        // A browser sends the cookie whoever asks it to; only our own pages may make it change anything.
        if !parts.method.is_safe() {
            from_our_page(&parts.headers, app)?;
        }
        Ok(Self::Cookie(secret))
    }
}

/// Whether a page of ours sent this: browsers say where a request comes from, and pages cannot change that.
pub(super) fn from_our_page(headers: &HeaderMap, app: &App) -> Result<(), ApiError> {
    let text = |name: &header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(&header::ORIGIN);
    let is_ours =
        origin.is_some_and(|origin| app.shared.settings.console.origins.iter().any(|own| own == origin));
    if is_ours { not_from_elsewhere(headers) } else { Err(ApiError::OtherSite) }
}

/// Whether a browser says that another site, or another program, sent it here.
pub(super) fn not_from_elsewhere(headers: &HeaderMap) -> Result<(), ApiError> {
    let site = headers.get(&SEC_FETCH_SITE);
    if site.is_none_or(|site| site == "same-origin") { Ok(()) } else { Err(ApiError::OtherSite) }
}

fn bearer(parts: &Parts) -> Result<Zeroizing<String>, ApiError> {
    let value = parts.headers.get(header::AUTHORIZATION).ok_or(ApiError::NoToken)?;
    let (scheme, token) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or(ApiError::NoToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::NoToken);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(ApiError::BadToken);
    }
    Ok(Zeroizing::new(token.trim().to_owned()))
}

/// A caller, whoever it is. Handlers that take it decide for themselves.
pub(super) struct Called(pub(super) Caller);

impl FromRequestParts<Arc<App>> for Called {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let shown = Shown::from_request_parts(parts, app).await?;
        let credential = Credential::of(&shown, app).await?;
        let occasion = Occasion::of(parts, app, &credential.actor())?;
        Ok(Self(Caller { subject: credential.subject(), credential, occasion }))
    }
}

/// The permission to do `A` to the tenant that the path names, or to the member of it that the path names. Comes before
/// query and body, so that whoever may not learns nothing from how those are answered.
pub(super) struct Allowed<A> {
    /// The proof.
    pub(super) permit: Permit<A>,
    /// Who was allowed.
    pub(super) caller: Caller,
}

impl<A> Allowed<A> {
    /// The tenant that the permission is for.
    pub(super) const fn tenant(&self) -> TenantName {
        *self.permit.tenant()
    }

    /// What the caller is about to do.
    pub(super) fn deed(&self, action: &'static str, target: impl Into<String>) -> Deed {
        Deed::new(self.caller.actor(), action, target.into())
    }
}

impl<A: Act> Allowed<A> {
    /// Whether the same is allowed to this too.
    pub(super) fn also(&self, app: &App, on: &Resource) -> bool {
        let access = &app.shared.directory.access;
        access.decide::<A>(self.permit.tenant(), &self.caller.subject, on).is_ok()
    }
}

impl<A: Act> FromRequestParts<Arc<App>> for Allowed<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Entered { tenant, caller } = Entered::from_request_parts(parts, app).await?;
        // A name that cannot be a member's is nobody's; the handler says so to whoever may look for it.
        let name = match path_part(parts, "device").await {
            Ok(device) => Some(device),
            Err(_) => path_part(parts, "gateway").await.ok(),
        };
        let member = name.and_then(|name| name.parse().ok());
        let on = member.map_or(Resource::Tenant, Resource::Member);
        let permit = app.shared.permit(tenant, &caller.subject, &caller.actor(), &on).await?;
        Ok(Self { permit, caller })
    }
}

/// A caller in a tenant that they reach, whatever they may do there. Handlers that take it decide for themselves.
pub(super) struct Entered {
    /// The tenant.
    pub(super) tenant: TenantName,
    /// Who.
    pub(super) caller: Caller,
}

impl FromRequestParts<Arc<App>> for Entered {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Called(caller) = Called::from_request_parts(parts, app).await?;
        Ok(Self { tenant: tenant(parts, app, &caller).await?, caller })
    }
}

/// The tenant that the path names, which exists and which the caller reaches.
async fn tenant(parts: &mut Parts, app: &App, caller: &Caller) -> Result<TenantName, ApiError> {
    let name = path_part(parts, "tenant").await?;
    let tenant = name.parse().map_err(|_| ApiError::NotFound("tenant"))?;
    caller.credential.enter(tenant)?;
    app.shared.store.registry().tenant(&tenant).await?;
    Ok(tenant)
}

/// A caller who looks at readings. What they see of them is decided value by value.
pub(super) struct Reading {
    /// Whose readings.
    pub(super) tenant: TenantName,
    /// Their eyes.
    pub(super) reader: Reader,
    /// Who looks.
    pub(super) caller: Caller,
}

impl FromRequestParts<Arc<App>> for Reading {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Entered { tenant, caller } = Entered::from_request_parts(parts, app).await?;
        let reader = app.shared.reader(tenant, &caller.subject, &caller.actor()).await?;
        Ok(Self { tenant, reader, caller })
    }
}

async fn path_part(parts: &mut Parts, name: &str) -> Result<String, ApiError> {
    let all = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await;
    let Path(mut all) = all.map_err(|_| ApiError::NotFound("page"))?;
    all.remove(name).ok_or(ApiError::NotFound("page"))
}

/// Query parameters; unknown ones are refused.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, ApiError> {
        let Query(all) = Query::try_from_uri(&parts.uri)
            .map_err(|e| ApiError::Invalid(format!("query parameters: {}", inner(&e))))?;
        Ok(Self(all))
    }
}

/// The part of a path after the tenant.
pub(super) struct Part<T>(pub(super) T);

/// A kind of thing that a path names.
pub(super) trait Named: Sized {
    /// The placeholder in the path, and what is not found when the text cannot be one.
    const NAME: &'static str;
    /// `None` when the text cannot be one.
    fn parse(text: &str) -> Option<Self>;
}

impl<T: Named> FromRequestParts<Arc<App>> for Part<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &Arc<App>) -> Result<Self, ApiError> {
        let text = path_part(parts, T::NAME).await?;
        T::parse(&text).map(Self).ok_or(ApiError::NotFound(T::NAME))
    }
}

/// The innermost cause, which names the parameter.
fn inner(e: &dyn std::error::Error) -> String {
    let mut cause = e;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
