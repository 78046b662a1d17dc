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
use thingward_policy::{Caller, Permit, Scoped, call};
use thingward_store::StoreError;
use thingward_store::registry::Token;

use super::app::App;
use super::error::ApiError;
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

/// Whoever shows this token, or none on the administration socket.
pub(super) fn caller_of(token: Option<&Token>) -> Caller {
    token.map_or(Caller::Operator, |t| Caller::Token { tenant: t.tenant, scopes: t.scopes.clone() })
}

/// Whoever shows this token, as the audit log names it.
pub(super) fn actor(token: Option<&Token>) -> String {
    token.map_or_else(|| "operator".to_owned(), |t| format!("token/{}", t.id))
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

/// Whether a caller may do `A` in a tenant. Another tenant than the token's is one that does not exist.
pub(super) fn permit<A: Scoped>(who: &Caller, tenant: TenantName) -> Result<Permit<A>, ApiError> {
    match who {
        Caller::Token { tenant: Some(own), .. } if *own != tenant => Err(ApiError::NotFound("tenant")),
        Caller::Operator | Caller::Token { .. } => Ok(call(who, tenant)?),
    }
}

/// A caller, whoever it is. Handlers that take it decide for themselves.
pub(super) struct Called(pub(super) Caller, pub(super) Option<Token>);

impl FromRequestParts<Arc<App>> for Called {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = token(parts, app).await?;
        Ok(Self(caller_of(token.as_ref()), token))
    }
}

/// The permission to do `A` in the tenant that the path names, which exists. Comes before query and body, so
/// that whoever may not learns nothing from how those are answered.
pub(super) struct Allowed<A> {
    /// The proof.
    pub(super) permit: Permit<A>,
    /// What was shown for it; none on the administration socket.
    pub(super) token: Option<Token>,
}

impl<A> Allowed<A> {
    /// The tenant that the permission is for.
    pub(super) const fn tenant(&self) -> TenantName {
        *self.permit.tenant()
    }

    /// What the caller is about to do.
    pub(super) fn deed(&self, action: &'static str, target: impl Into<String>) -> Deed {
        Deed::new(actor(self.token.as_ref()), action, target.into())
    }
}

impl<A: Scoped> FromRequestParts<Arc<App>> for Allowed<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let token = token(parts, app).await?;
        let tenant = path_part(parts, "tenant").await?;
        let tenant = tenant.parse().map_err(|_| ApiError::NotFound("tenant"))?;
        let permit = permit(&caller_of(token.as_ref()), tenant)?;
        app.shared.store.registry().tenant(&tenant).await?;
        Ok(Self { permit, token })
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
