//! Who calls, and whether it may.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::header;
use axum::http::request::Parts;
use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use thingward_model::TenantName;
use thingward_model::clock::now;
use thingward_policy::{Act, Action, Permit, Reader, Resource, Subject};
use thingward_store::StoreError;
use thingward_store::registry::Token;

use super::app::App;
use super::error::ApiError;
use crate::access::Access;
use crate::audit::Deed;

/// Longest token that is looked up, in bytes. Ours have 55.
const TOKEN_BYTES_MAX: usize = 128;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// Over TLS, with the client certificates that the handshake checked; none when the client showed none.
    Tls {
        /// Where it is.
        address: IpAddr,
        /// Leaf first.
        chain: Arc<[CertificateDer<'static>]>,
    },
    /// On the administration socket.
    Admin,
}

/// The token of a request, with which it can be checked again while an answer runs.
#[derive(Clone)]
pub(super) struct Bearer(pub(super) String);

/// The token of a request; `None` on the administration socket, which needs none.
async fn token(parts: &Parts, app: &App) -> Result<Option<Token>, ApiError> {
    if matches!(parts.extensions.get::<Peer>(), Some(Peer::Admin)) {
        return Ok(None);
    }
    valid_token(&bearer(parts)?, app).await.map(Some)
}

/// Somebody who calls.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Whom policies see.
    pub(super) subject: Subject,
    /// What was shown; none on the administration socket.
    pub(super) token: Option<Token>,
}

impl From<Option<Token>> for Caller {
    fn from(token: Option<Token>) -> Self {
        let subject = token.as_ref().map_or(Subject::Operator, |token| Subject::Token {
            name: token.id.name(),
            user: token.user.as_ref().map(|(_, name)| *name),
            scopes: token.scopes.iter().copied().collect(),
        });
        Self { subject, token }
    }
}

impl Caller {
    /// The only tenant that they reach; `None` when they reach all.
    pub(super) fn tenant(&self) -> Option<TenantName> {
        self.token.as_ref().and_then(|token| token.tenant)
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
        self.token.as_ref().map_or_else(|| "operator".to_owned(), |t| format!("token/{}", t.id))
    }

    /// The permit to do `A` by the policies that every tenant begins with: for what is there before a tenant, or is
    /// about all of them. Nobody who is bound to one gets it.
    pub(super) fn permit_at_first<A: Act>(&self, tenant: TenantName) -> Result<Permit<A>, ApiError> {
        if self.tenant().is_some() {
            return Err(ApiError::Denied("the token is for one tenant"));
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

    /// Their way into a tenant. Another than their own is one that does not exist.
    pub(super) fn enter(&self, tenant: TenantName) -> Result<(), ApiError> {
        match self.tenant() {
            Some(own) if own != tenant => Err(ApiError::NotFound("tenant")),
            _ => Ok(()),
        }
    }
}

pub(super) fn bearer(parts: &Parts) -> Result<Bearer, ApiError> {
    let value = parts.headers.get(header::AUTHORIZATION).ok_or(ApiError::NoToken)?;
    let (scheme, token) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or(ApiError::NoToken)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(ApiError::NoToken);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(ApiError::BadToken);
    }
    Ok(Bearer(token.trim().to_owned()))
}

/// A token that works now.
pub(super) async fn valid_token(bearer: &Bearer, app: &App) -> Result<Token, ApiError> {
    app.shared.store.registry().token(&bearer.0, now()).await.map_err(|e| match e {
        StoreError::NotFound { .. } => ApiError::BadToken,
        other => other.into(),
    })
}

/// A caller, whoever it is. Handlers that take it decide for themselves.
pub(super) struct Called(pub(super) Caller);

impl FromRequestParts<Arc<App>> for Called {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        Ok(Self(token(parts, app).await?.into()))
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
        let member = path_part(parts, "device").await.ok().and_then(|name| name.parse().ok());
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
    caller.enter(tenant)?;
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
