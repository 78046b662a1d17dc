//! A tenant's policies: its files, why something is decided as it is, and what other files would change.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use thingward_model::clock::now;
use thingward_model::{Principal, TenantName};
use thingward_policy::{
    Action, BASELINE, Explanation, ManagePolicy, PolicyFile, Problems, ReadPolicy, Resource, SCHEMA, Source,
    Subject,
};
use thingward_store::StoreError;
use thingward_store::registry::PolicyVersion;
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Allowed, Entered, Named, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use super::{List, ListParams, time, word};
use crate::access::hash_of;
use crate::past::{Actors, Numbers, questions};

/// Most characters of a note.
const NOTE_MAX: usize = 256;

/// A file of policies.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct PolicyFileView {
    /// Its name, as `night-shift.cedar`.
    name: String,
    /// Cedar policies.
    text: String,
}

/// A tenant's policies.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct PolicyView {
    /// Counts from 1; 0 before the tenant had any of its own.
    version: u64,
    /// Who applied it, as the audit log names them; null for version 0.
    author: Option<String>,
    /// What they said about it.
    note: String,
    /// When; null for version 0.
    created: Option<String>,
    /// The tenant's own files.
    files: Vec<PolicyFileView>,
    /// What holds in every tenant.
    baseline: String,
    /// What policies can talk about.
    schema: String,
}

/// A version of a tenant's policies.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct PolicyVersionView {
    /// Counts from 1.
    version: u64,
    /// Who applied it, as the audit log names them.
    author: String,
    /// What they said about it.
    note: String,
    /// When.
    created: String,
    /// The names of its files.
    files: Vec<String>,
}

/// Policies to apply.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewPolicy {
    /// The version that they follow: another newest one means that somebody else was faster.
    after: u64,
    /// What is said about them. Goes no further than here; the audit log has the files' hash.
    #[serde(default)]
    note: String,
    /// All files: what is not here is no more.
    files: Vec<PolicyFileView>,
}

/// Files to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Draft {
    /// All files.
    files: Vec<PolicyFileView>,
}

/// Files to try on the past.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Trial {
    /// All files.
    files: Vec<PolicyFileView>,
    /// From when on, RFC 3339.
    since: String,
}

/// Something that is wrong with policies.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ProblemView {
    /// In which file; empty when it is about all.
    file: String,
    /// On which line, from 1; 0 when it is about all.
    line: usize,
    /// What is wrong.
    message: String,
}

/// What would be decided otherwise.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct DifferenceView {
    /// Who asked.
    who: String,
    /// To do what.
    action: String,
    /// To what.
    on: String,
    /// Whether it is allowed now.
    allowed_now: bool,
    /// Whether it would be.
    allowed_then: bool,
    /// Why not, where it is not or would not be.
    reason: String,
    /// How often it was asked.
    times: u64,
}

/// What a trial found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct TrialView {
    /// How many different questions were asked again.
    questions: usize,
    /// Those with another answer.
    differences: Vec<DifferenceView>,
}

/// Which decision.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ExplainParams {
    /// Who: `user/…`, `device/…`, `gateway/…`, `application/…`; whoever calls when nothing is said.
    #[serde(rename = "as")]
    who: Option<String>,
    /// To do what, as `commands:send`.
    action: String,
    /// To what: `meter-1/set-rate` for a command, `meter-1/climate/temperature` for a reading, a device, or `tenant`.
    on: String,
}

/// A policy that decided.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct NamedPolicyView {
    /// Its file and id.
    id: String,
    /// On which line of its file it is.
    line: usize,
    /// As it is written.
    text: String,
}

/// Why it is decided as it is.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ExplanationView {
    /// Whether it is allowed.
    allowed: bool,
    /// Why not.
    reason: String,
    /// The policies that decided; null for whoever may not read policies.
    policies: Option<Vec<NamedPolicyView>>,
    /// How policies failed; null as above.
    errors: Option<Vec<String>>,
    /// What would make it a yes, each alone; null as above.
    changes: Option<Vec<String>>,
}

/// A version in a path.
pub(in crate::http) struct Version(u64);

impl Named for Version {
    const NAME: &'static str = "version";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

/// Show a tenant's policies
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/policy", tag = "policy", params(("tenant" = String, Path)),
    responses(
        (status = 200, description = "The newest version", body = PolicyView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadPolicy>,
) -> Result<Json<PolicyView>, ApiError> {
    Ok(Json(view(app.shared.store.registry().policy_version(&allowed.tenant(), None).await?)))
}

/// List versions of a tenant's policies
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/policy/versions", tag = "policy",
    params(("tenant" = String, Path), ListParams),
    responses(
        (status = 200, description = "The newest first", body = List<PolicyVersionView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn versions(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadPolicy>,
    Params(params): Params<ListParams>,
) -> Result<Json<List<PolicyVersionView>>, ApiError> {
    let (limit, after) = (params.limit()?, params.after::<u64>()?);
    let found = app.shared.store.registry().policy_versions(&allowed.tenant(), after, limit).await?;
    let view = |v: PolicyVersion| PolicyVersionView {
        version: v.version,
        author: v.author,
        note: v.note,
        created: v.created.to_string(),
        files: v.files.into_iter().map(|f| f.name).collect(),
    };
    Ok(Json(List::page(found, limit, view, |v| v.version.to_string())))
}

/// Show a version of a tenant's policies
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/policy/versions/{version}", tag = "policy",
    params(("tenant" = String, Path), ("version" = u64, Path)),
    responses(
        (status = 200, description = "As it was applied", body = PolicyView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn version(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadPolicy>,
    Part(Version(version)): Part<Version>,
) -> Result<Json<PolicyView>, ApiError> {
    let found = app.shared.store.registry().policy_version(&allowed.tenant(), Some(version)).await?;
    found.map(|v| Json(view(Some(v)))).ok_or(ApiError::NotFound("version"))
}

/// Apply policies
///
/// They hold from the next decision on, for live sessions and for what waits to be delivered. A rollback is to apply the
/// files of an old version.
#[utoipa::path(
    put, path = "/api/v1/tenants/{tenant}/policy", tag = "policy", params(("tenant" = String, Path)),
    request_body = NewPolicy,
    responses(
        (status = 200, description = "As they are now", body = PolicyView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn apply(
    State(app): State<Arc<App>>,
    allowed: Allowed<ManagePolicy>,
    Sent(new): Sent<NewPolicy>,
) -> Result<Json<PolicyView>, ApiError> {
    if new.note.chars().count() > NOTE_MAX {
        return Err(ApiError::Invalid(format!("`note` has more than {NOTE_MAX} characters")));
    }
    let (files, tenant) = (files(new.files), allowed.tenant());
    let source = checked(files.clone()).await?.map_err(|problems| ApiError::Invalid(problems.to_string()))?;
    let shared = &app.shared;
    let _turn = shared.membership.lock().await;
    let registry = shared.store.registry();
    let newest = registry.policy_version(&tenant, None).await?.map_or(0, |v| v.version);
    if newest != new.after {
        return Err(ApiError::Conflict(format!("the newest version is {newest}, not {}", new.after)));
    }
    let deed = allowed.deed("policy.apply", format!("policy/{}", newest + 1));
    let deed = deed.with("files", files.len().to_string()).with("sha256", hash_of(&files));
    app.record(tenant, &allowed.caller, deed).await?;
    let author = allowed.caller.actor();
    registry.add_policy_version(&tenant, newest, &author, &new.note, &files, now()).await?;
    let applied = shared.directory.access.apply(&tenant, source);
    applied.map_err(|problems| ApiError::Invalid(problems.to_string()))?;
    shared.tell_gateways(tenant).await;
    Ok(Json(view(registry.policy_version(&tenant, None).await?)))
}

/// Check policies
///
/// Nothing is changed.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/policy/check", tag = "policy", params(("tenant" = String, Path)),
    request_body = Draft,
    responses(
        (status = 200, description = "What is wrong; nothing when they can be applied", body = List<ProblemView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn check(
    State(_app): State<Arc<App>>,
    _allowed: Allowed<ReadPolicy>,
    Sent(draft): Sent<Draft>,
) -> Result<Json<List<ProblemView>>, ApiError> {
    let problems = checked(files(draft.files)).await?.err().map(|Problems(all)| all).unwrap_or_default();
    let view = |p: thingward_policy::Problem| ProblemView { file: p.file, line: p.line, message: p.message };
    Ok(Json(List::whole(problems.into_iter().map(view).collect())))
}

/// Try policies on the past
///
/// What was done, refused, published and could be read since a time is decided again by a draft. Nothing is changed.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/policy/try", tag = "policy", params(("tenant" = String, Path)),
    request_body = Trial,
    responses(
        (status = 200, description = "What would be decided otherwise", body = TrialView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn try_on_the_past(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadPolicy>,
    Sent(trial): Sent<Trial>,
) -> Result<Json<TrialView>, ApiError> {
    let (tenant, since) = (allowed.tenant(), time("since", &trial.since)?);
    let draft =
        checked(files(trial.files)).await?.map_err(|problems| ApiError::Invalid(problems.to_string()))?;
    let actors = Actors::of(app.shared.store.registry(), &tenant).await?;
    let size = app.shared.core.log_size(&tenant);
    let policies = app.shared.directory.access.of(&tenant).ok_or(ApiError::Internal)?;
    let opener = Arc::clone(&app);
    let (asked, differences) = app
        .ask(move |store| {
            let numbers = {
                let mut opener = opener.shared.opener.lock().unwrap_or_else(PoisonError::into_inner);
                Numbers::of(store, &mut opener, &tenant)?
            };
            let asked = questions(store, &tenant, &actors, &numbers, size, since)?;
            let found = policies.compare(draft, asked.values().map(|(question, _)| *question));
            let found =
                found.map_err(|_| StoreError::Invalid { what: "the draft has a file of every tenant" })?;
            Ok((asked, found))
        })
        .await?;
    let times: std::collections::HashMap<_, _> = asked.values().copied().collect();
    let view = |d: thingward_policy::Difference| DifferenceView {
        who: named(&d.who),
        action: d.action.to_string(),
        on: d.on.to_string(),
        allowed_now: d.now.is_allowed(),
        allowed_then: d.then.is_allowed(),
        reason: format!("{}{}", d.now.reason(), d.then.reason()),
        times: times.get(&(d.who, d.action, d.on)).copied().unwrap_or(1),
    };
    let differences = differences.into_iter().map(view).collect();
    Ok(Json(TrialView { questions: asked.len(), differences }))
}

/// Explain a decision
///
/// Everybody may ask about themselves; about others, and for the policies behind it, whoever may read those.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/policy/explain", tag = "policy",
    params(("tenant" = String, Path), ExplainParams),
    responses(
        (status = 200, description = "The decision and its reasons", body = ExplanationView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn explain(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Params(params): Params<ExplainParams>,
) -> Result<Json<ExplanationView>, ApiError> {
    let may_read =
        app.shared.directory.access.decide::<ReadPolicy>(&tenant, &caller.subject, &Resource::Tenant);
    let who = match &params.who {
        None => caller.subject,
        Some(who) => {
            // A no to this is one for the log.
            let _: thingward_policy::Permit<ReadPolicy> =
                app.shared.permit(tenant, &caller.subject, &caller.actor(), &Resource::Tenant).await?;
            subject(tenant, who)?
        }
    };
    let action: Action = word("action", &params.action)?;
    let on = Resource::parse(action, &params.on)
        .map_err(|wanted| ApiError::Invalid(format!("`on` is not {wanted}, which `{action}` is about")))?;
    let policies = app.shared.directory.access.of(&tenant).ok_or(ApiError::Internal)?;
    if may_read.is_err() {
        let decision = policies.decision(&who, action, &on);
        let (allowed, reason) = (decision.is_allowed(), decision.reason().to_owned());
        return Ok(Json(ExplanationView { allowed, reason, policies: None, errors: None, changes: None }));
    }
    let explained = app.ask(move |_| Ok(policies.explain(&who, action, &on))).await?;
    let Explanation { decision, policies, errors, changes } = explained;
    let view =
        |p: thingward_policy::Named| NamedPolicyView { id: p.id, line: p.place.line, text: p.place.text };
    Ok(Json(ExplanationView {
        allowed: decision.is_allowed(),
        reason: decision.reason().to_owned(),
        policies: Some(policies.into_iter().map(view).collect()),
        errors: Some(errors),
        changes: Some(changes),
    }))
}

fn subject(tenant: TenantName, who: &str) -> Result<Subject, ApiError> {
    let wrong = || {
        ApiError::Invalid("`as` is not user/NAME, device/NAME, gateway/NAME or application/NAME".to_owned())
    };
    let (kind, name) = who.split_once('/').ok_or_else(wrong)?;
    if kind == "user" {
        return name.parse().map(Subject::User).map_err(|_| wrong());
    }
    let (role, name) = (kind.parse().map_err(|_| wrong())?, name.parse().map_err(|_| wrong())?);
    Ok(Subject::Member(Principal { tenant, role, name }))
}

fn named(who: &Subject) -> String {
    match who {
        Subject::Operator => "operator".to_owned(),
        Subject::User(name) => format!("user/{name}"),
        Subject::Token { name, .. } => format!("token/{name}"),
        Subject::Member(principal) => format!("{}/{}", principal.role, principal.name),
    }
}

fn files(sent: Vec<PolicyFileView>) -> Vec<PolicyFile> {
    sent.into_iter().map(|f| PolicyFile { name: f.name, text: f.text }).collect()
}

/// Parses and checks on a thread where that may take its time.
async fn checked(files: Vec<PolicyFile>) -> Result<Result<Source, Problems>, ApiError> {
    tokio::task::spawn_blocking(move || Source::new(&files)).await.map_err(|_| ApiError::Internal)
}

fn view(version: Option<PolicyVersion>) -> PolicyView {
    let file = |f: PolicyFile| PolicyFileView { name: f.name, text: f.text };
    let (baseline, schema) = (BASELINE.to_owned(), SCHEMA.to_owned());
    match version {
        None => PolicyView {
            version: 0,
            author: None,
            note: String::new(),
            created: None,
            files: Vec::new(),
            baseline,
            schema,
        },
        Some(v) => PolicyView {
            version: v.version,
            author: Some(v.author),
            note: v.note,
            created: Some(v.created.to_string()),
            files: v.files.into_iter().map(file).collect(),
            baseline,
            schema,
        },
    }
}
