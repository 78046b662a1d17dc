//! Commands: what devices say that they can do, and telling them to.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thingward_model::clock::now;
use thingward_model::description::ThingDescription;
use thingward_model::{ActionName, DeviceName, TenantName, Timestamp};
use thingward_policy::{Action, Permit, ReadDevices, Resource, SendCommands, ten_thousandths};
use thingward_seal::command::{
    CANONICAL_BYTES_MAX, Command, CommandId, Data, LIFETIME_MAX_MICROS, digest, json,
};
use thingward_store::StoreError;
use thingward_store::hot::Space;
use thingward_store::registry::Session;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::body::Sent;
use super::super::caller::{Allowed, Caller, Entered, Named, Params, Part};
use super::super::error::{ApiError, ErrorBody};
use super::{List, ListParams, word};
use crate::audit::Deed;
use crate::command::{
    self, CommandRecord, ENDED_PREFIX, NewCommand, State as CommandState, WAITING_PREFIX, hex, index,
    keys_of, parse_id,
};
use crate::sign_in::{Assertion, AssertionResponse, CHALLENGE_SECONDS, RequestOptions};

/// How long a command counts when nothing is said, in seconds.
const LIFETIME_DEFAULT_SECONDS: u64 = 300;
/// Most commands of a device that are looked through, the newest.
const LOOKED_AT_MAX: usize = 1_000;

/// A command to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewCommandBody {
    /// An action of the device's description.
    action: String,
    /// What the action takes: a number, a text, true or false, or an object of these. Leave it out where it takes nothing.
    #[serde(default)]
    input: Value,
    /// How long the command counts, up to a week. Default 300.
    lifetime_seconds: Option<u64>,
    /// 32 hexadecimal digits of the caller's choice. Sent again with the same id, it is the same command.
    id: Option<String>,
    /// For a sensitive action: the user's passkey over what `prepare` gave. Time and id are those of it then.
    approval: Option<ApprovalBody>,
}

/// A user's passkey over exactly one command.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ApprovalBody {
    /// What `prepare` gave.
    command: String,
    /// `credential.toJSON()`.
    credential: AssertionResponse,
}

/// A command that waits for its user's approval, with nobody.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct Prepared {
    /// The canonical command, base64url; its SHA-256 is the challenge.
    command: String,
    /// For `navigator.credentials.get`.
    options: RequestOptions,
}

/// A command and what became of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct CommandView {
    /// Names it: 32 hexadecimal digits.
    id: String,
    /// Who shall do it.
    device: String,
    /// What.
    action: String,
    /// With what; null for nothing.
    input: Value,
    /// Who wants it, as the audit log names them.
    actor: String,
    /// When it was made.
    issued: String,
    /// From when on it counts no more.
    expires: String,
    /// `waiting`, `done`, `refused`, `failed`, `interrupted`, `expired` or `cancelled`.
    state: String,
    /// What it gave, when it was done.
    output: Option<Value>,
    /// Why not, in a word or sentence, when it was not.
    reason: Option<String>,
    /// What the device says about it.
    text: Option<String>,
    /// Its entry in the audit log.
    log: u64,
}

impl From<CommandRecord> for CommandView {
    fn from(record: CommandRecord) -> Self {
        let state = record.state.as_str().to_owned();
        let (output, reason, text) = match record.state {
            CommandState::Done { output } => (Some(output), None, None),
            CommandState::Refused { reason, text } => (None, Some(reason), Some(text)),
            CommandState::Failed { text } => (None, None, Some(text)),
            CommandState::Cancelled { reason } => (None, Some(reason), None),
            CommandState::Waiting | CommandState::Interrupted | CommandState::Expired => (None, None, None),
        };
        Self {
            id: hex(&record.id),
            device: record.device.to_string(),
            action: record.action.to_string(),
            input: record.input,
            actor: record.actor,
            issued: record.issued.to_string(),
            expires: record.expires.to_string(),
            state,
            output,
            reason,
            text,
            log: record.log,
        }
    }
}

/// A command's id in a path.
pub(in crate::http) struct Id(CommandId);

impl Named for Id {
    const NAME: &'static str = "command";
    fn parse(text: &str) -> Option<Self> {
        parse_id(text).map(Self)
    }
}

/// Show what a device can do
///
/// A W3C Thing Description, as the device published it.
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/devices/{device}/description", tag = "commands",
    params(("tenant" = String, Path), ("device" = String, Path)),
    responses(
        (status = 200, description = "Thing Description 1.1", body = Value, content_type = "application/td+json"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn describe(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(device): Part<DeviceName>,
) -> Result<impl IntoResponse, ApiError> {
    let description = description_of(&app, allowed.tenant(), device).await?.as_json().clone();
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/td+json"))], Json(description)))
}

/// Prepare a sensitive command
///
/// Gives the exact command for the user's passkey to sign, in a session of theirs. Nothing is kept of it.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/devices/{device}/commands/prepare", tag = "commands",
    params(("tenant" = String, Path), ("device" = String, Path)), request_body = NewCommandBody,
    responses(
        (status = 200, description = "To be approved within five minutes", body = Prepared),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn prepare(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(device): Part<DeviceName>,
    Sent(new): Sent<NewCommandBody>,
) -> Result<Json<Prepared>, ApiError> {
    let wanted = Wanted::permitted(&app, tenant, caller, device, new).await?;
    wanted.described(&app).await?;
    let session = wanted.caller.session().ok_or(ApiError::Denied(BY_USERS))?;
    let passkeys = app.shared.store.registry().passkeys_of(&tenant, &session.user.0).await?;
    let canonical = wanted.canonical(wanted.id()?, now(), wanted.expires(now())?)?;
    let options = RequestOptions::new(&app.shared.settings.console, &passkeys, &digest(&canonical));
    Ok(Json(Prepared { command: URL_SAFE_NO_PAD.encode(&canonical), options }))
}

/// Tell a device to do something
///
/// The answer says that the command is durable and in the audit log, not that it is done: look at it again.
#[utoipa::path(
    post, path = "/api/v1/tenants/{tenant}/devices/{device}/commands", tag = "commands",
    params(("tenant" = String, Path), ("device" = String, Path)), request_body = NewCommandBody,
    responses(
        (status = 201, description = "It waits for its device", body = CommandView),
        (status = 200, description = "It was sent before, and this is what became of it", body = CommandView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn send(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(device): Part<DeviceName>,
    Sent(new): Sent<NewCommandBody>,
) -> Result<(StatusCode, Json<CommandView>), ApiError> {
    let wanted = Wanted::permitted(&app, tenant, caller, device, new).await?;
    let approved = match &wanted.new.approval {
        Some(approval) => Some(wanted.approved(&app, approval).await?),
        None => None,
    };
    let id = approved.as_ref().map_or_else(|| wanted.id(), |approved| Ok(approved.id))?;
    let issued = wanted.caller.occasion.at;
    let expires = wanted.expires(issued)?;
    let _turn = app.commands_turn().await;
    if (wanted.new.id.is_some() || approved.is_some())
        && let Some(known) = find(&app, tenant, device, id).await?
    {
        let is_same = known.action == wanted.action
            && known.input == wanted.new.input
            && known.actor == wanted.caller.actor();
        if !is_same {
            return Err(ApiError::Conflict("another command has this id".to_owned()));
        }
        return Ok((StatusCode::OK, Json(known.into())));
    }
    let is_sensitive = wanted.described(&app).await?;
    let Approved { canonical, issued, expires, approval, .. } = match approved {
        Some(approved) => approved,
        None if is_sensitive => return Err(wanted.refused(&app, UNAPPROVED).await?),
        None => {
            let canonical = wanted.canonical(id, issued, expires)?;
            Approved { id, canonical, issued, expires, approval: None }
        }
    };
    let record = CommandRecord {
        tenant,
        device,
        id,
        action: wanted.action,
        actor: wanted.caller.actor(),
        who: command::who(&wanted.caller.subject),
        input: wanted.new.input,
        issued,
        expires,
        log: 0,
        message: Vec::new(),
        state: CommandState::Waiting,
        reply: Vec::new(),
    };
    let deed = command::sent(&record, &canonical);
    let deed = match &approval {
        Some(assertion) => Deed { evidence: Some(assertion.evidence()), ..deed },
        None => app.ordered(&tenant, &wanted.caller, deed).await?,
    };
    let new = NewCommand { record: record.clone(), canonical, approval, deed };
    let log = app.shared.core.command(new).await?;
    Ok((StatusCode::CREATED, Json(CommandRecord { log, ..record }.into())))
}

const UNAPPROVED: &str = "the action is sensitive: it takes the user's own passkey, and none was shown";
const BY_USERS: &str = "the action is sensitive: a user approves it with their passkey, in a session";

/// What somebody who may wants a device to do.
struct Wanted {
    tenant: TenantName,
    device: DeviceName,
    action: ActionName,
    new: NewCommandBody,
    caller: Caller,
}

/// A command as it goes out.
struct Approved {
    id: CommandId,
    canonical: Vec<u8>,
    issued: Timestamp,
    expires: Timestamp,
    approval: Option<Assertion>,
}

impl Wanted {
    async fn permitted(
        app: &App,
        tenant: TenantName,
        caller: Caller,
        device: DeviceName,
        new: NewCommandBody,
    ) -> Result<Self, ApiError> {
        let action: ActionName = word("action", &new.action)?;
        let wanted = Self { tenant, device, action, new, caller };
        let (subject, actor) = (&wanted.caller.subject, wanted.caller.actor());
        let _: Permit<SendCommands> = app.shared.permit(tenant, subject, &actor, &wanted.on()).await?;
        Ok(wanted)
    }

    fn on(&self) -> Resource {
        Resource::Operation(self.device, self.action, self.new.input.as_f64().map(ten_thousandths))
    }

    fn id(&self) -> Result<CommandId, ApiError> {
        let Some(id) = &self.new.id else { return Ok(self.caller.occasion.seed) };
        parse_id(id).ok_or_else(|| ApiError::Invalid("`id` is not 32 hexadecimal digits".to_owned()))
    }

    /// When it counts no more: not after what it was sent with.
    fn expires(&self, issued: Timestamp) -> Result<Timestamp, ApiError> {
        let seconds = self.new.lifetime_seconds.unwrap_or(LIFETIME_DEFAULT_SECONDS);
        let lifetime = i64::try_from(seconds).ok().and_then(|s| s.checked_mul(1_000_000));
        let lifetime = lifetime.filter(|micros| (1..=LIFETIME_MAX_MICROS).contains(micros));
        let lifetime = lifetime
            .ok_or_else(|| ApiError::Invalid("`lifetime_seconds` is not from 1 to 604800".to_owned()))?;
        let asked = issued.plus_micros(lifetime);
        Ok(self.caller.token().map_or(asked, |token| asked.min(token.expires)))
    }

    /// Whether the device's description calls it sensitive, when it has the action and takes the input.
    async fn described(&self, app: &Arc<App>) -> Result<bool, ApiError> {
        let thing = description_of(app, self.tenant, self.device).await?;
        let described = thing.actions.get(&self.action).ok_or(ApiError::NotFound("action"))?;
        described.validate(&self.new.input).map_err(|e| ApiError::Invalid(format!("`input` {e}")))?;
        Ok(described.is_sensitive)
    }

    fn input(&self) -> Result<Vec<u8>, ApiError> {
        json::encode(&self.new.input)
            .map_err(|_| ApiError::Invalid("`input` is too large or not flat".to_owned()))
    }

    fn canonical(&self, id: CommandId, issued: Timestamp, expires: Timestamp) -> Result<Vec<u8>, ApiError> {
        let (input, actor) = (self.input()?, self.caller.actor());
        let command = Command {
            tenant: self.tenant,
            device: self.device,
            id,
            action: self.action,
            input: Data::from_bytes(&input).map_err(|_| ApiError::Internal)?,
            issued,
            expires,
            actor: &actor,
        };
        let mut canonical = vec![0; CANONICAL_BYTES_MAX];
        let len = command
            .encode(&mut canonical)
            .map_err(|_| ApiError::Invalid("`input` is too large".to_owned()))?;
        canonical.truncate(len);
        Ok(canonical)
    }

    /// What was prepared, when it is what is wanted and the caller's own passkey signed it. What does not hold is refused
    /// in the log.
    async fn approved(&self, app: &App, sent: &ApprovalBody) -> Result<Approved, ApiError> {
        let session = self.caller.session().ok_or(ApiError::Denied(BY_USERS))?;
        let canonical = URL_SAFE_NO_PAD.decode(&sent.command).unwrap_or_default();
        let (input, actor) = (self.input()?, self.caller.actor());
        let reason = match Command::decode(&canonical) {
            Err(_) => "what was approved is no command",
            Ok(c)
                if (c.tenant, c.device, c.action) != (self.tenant, self.device, self.action)
                    || c.input.as_bytes() != input
                    || c.actor != actor =>
            {
                "the approval is for another command"
            }
            Ok(c)
                if !(0..=i64::from(CHALLENGE_SECONDS) * 1_000_000)
                    .contains(&now().micros_since(c.issued)) =>
            {
                "the approval took longer than five minutes"
            }
            Ok(c) => match self.signed(app, session, &canonical, &sent.credential).await? {
                Some(approval) => {
                    let (id, issued, expires) = (c.id, c.issued, c.expires);
                    return Ok(Approved { id, canonical, issued, expires, approval: Some(approval) });
                }
                None => "the approval does not hold",
            },
        };
        Err(self.refused(app, reason).await?)
    }

    /// The caller's own passkey over exactly this.
    async fn signed(
        &self,
        app: &App,
        session: &Session,
        canonical: &[u8],
        sent: &AssertionResponse,
    ) -> Result<Option<Assertion>, ApiError> {
        let Ok(assertion) = Assertion::try_from(sent) else { return Ok(None) };
        let known = app.shared.store.registry().passkeys_of(&self.tenant, &session.user.0).await?;
        let passkey = known.iter().find(|passkey| passkey.credential_id == assertion.credential_id);
        let site = &app.shared.settings.console;
        let holds = passkey.is_some_and(|p| assertion.verify(site, &p.key, &digest(canonical)).is_ok());
        Ok(holds.then_some(assertion))
    }

    async fn refused(&self, app: &App, reason: &'static str) -> Result<ApiError, ApiError> {
        Ok(app.shared.refuse(self.tenant, &self.caller.actor(), self.on(), reason).await?.into())
    }
}

/// List a device's commands
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/devices/{device}/commands", tag = "commands",
    params(("tenant" = String, Path), ("device" = String, Path), ListParams),
    responses(
        (status = 200, description = "The newest first", body = List<CommandView>),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(device): Part<DeviceName>,
    Params(params): Params<ListParams>,
) -> Result<Json<List<CommandView>>, ApiError> {
    let limit = params.limit()?;
    let mut all = commands(&app, allowed.tenant(), device).await?;
    all.sort_by_key(|c| std::cmp::Reverse((c.issued, c.id)));
    if let Some(after) = params.after::<String>()? {
        let at = all.iter().position(|c| hex(&c.id) == after);
        all.drain(..=at.ok_or_else(|| ApiError::Invalid("`after` is not from an earlier page".to_owned()))?);
    }
    all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let seen = |record| seen_by(&app, &allowed, record);
    Ok(Json(List::page(all, limit, seen, |c| hex(&c.id))))
}

/// Show a command
#[utoipa::path(
    get, path = "/api/v1/tenants/{tenant}/devices/{device}/commands/{command}", tag = "commands",
    params(("tenant" = String, Path), ("device" = String, Path), ("command" = String, Path)),
    responses(
        (status = 200, description = "And what became of it", body = CommandView),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    allowed: Allowed<ReadDevices>,
    Part(device): Part<DeviceName>,
    Part(Id(id)): Part<Id>,
) -> Result<Json<CommandView>, ApiError> {
    let found = find(&app, allowed.tenant(), device, id).await?;
    found.map(|record| Json(seen_by(&app, &allowed, record))).ok_or(ApiError::NotFound("command"))
}

/// Take a command back
///
/// It is not sent any more. What the device has begun already, it ends.
#[utoipa::path(
    delete, path = "/api/v1/tenants/{tenant}/devices/{device}/commands/{command}", tag = "commands",
    params(("tenant" = String, Path), ("device" = String, Path), ("command" = String, Path)),
    responses(
        (status = 204, description = "Taken back"),
        (status = "4XX", description = "Refused", body = ErrorBody),
    ),
)]
pub(in crate::http) async fn cancel(
    State(app): State<Arc<App>>,
    Entered { tenant, caller }: Entered,
    Part(device): Part<DeviceName>,
    Part(Id(id)): Part<Id>,
) -> Result<StatusCode, ApiError> {
    let known = find(&app, tenant, device, id).await?;
    // Who may send it may take it back.
    let action = known.as_ref().map_or(word("command", "none"), |known| Ok(known.action))?;
    let on = Resource::Operation(device, action, None);
    if known.is_some() || !caller.may_in_scope(Action::SendCommands) {
        let _: Permit<SendCommands> =
            app.shared.permit(tenant, &caller.subject, &caller.actor(), &on).await?;
    }
    let known = known.ok_or(ApiError::NotFound("command"))?;
    let deed = app.ordered(&tenant, &caller, command::taken_back(&known, caller.actor())).await?;
    app.shared.core.cancel_command(tenant, device, id, deed).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What went in and came out is for those who may send it, and for who did.
fn seen_by(app: &App, allowed: &Allowed<ReadDevices>, record: CommandRecord) -> CommandView {
    let on = Resource::Operation(record.device, record.action, None);
    let access = &app.shared.directory.access;
    let may_send = access.decide::<SendCommands>(&record.tenant, &allowed.caller.subject, &on).is_ok();
    let is_own = record.actor == allowed.caller.actor();
    let view = CommandView::from(record);
    if may_send || is_own {
        view
    } else {
        CommandView { input: Value::Null, output: None, text: None, ..view }
    }
}

pub(super) async fn description_of(
    app: &Arc<App>,
    tenant: TenantName,
    device: DeviceName,
) -> Result<ThingDescription, ApiError> {
    let shared = Arc::clone(&app.shared);
    app.ask(move |_| shared.description(&tenant, &device)).await
}

/// The newest commands of a device, those that wait in front.
async fn commands(
    app: &Arc<App>,
    tenant: TenantName,
    device: DeviceName,
) -> Result<Vec<CommandRecord>, ApiError> {
    let asker = Arc::clone(app);
    app.ask(move |store| {
        let mut all = Vec::new();
        for prefix in [WAITING_PREFIX, ENDED_PREFIX] {
            for (key, sealed) in
                store.page(Space::Commands, &keys_of(prefix, &tenant, &device), b"", LOOKED_AT_MAX)?
            {
                all.push(read(&asker, &key, &sealed)?);
            }
        }
        Ok(all)
    })
    .await
}

async fn find(
    app: &Arc<App>,
    tenant: TenantName,
    device: DeviceName,
    id: CommandId,
) -> Result<Option<CommandRecord>, ApiError> {
    let asker = Arc::clone(app);
    app.ask(move |store| {
        let Some(place) = store.get(Space::Commands, &index(&tenant, &device, &id))? else { return Ok(None) };
        for prefix in [WAITING_PREFIX, ENDED_PREFIX] {
            let key = [keys_of(prefix, &tenant, &device), place.clone()].concat();
            if let Some(sealed) = store.get(Space::Commands, &key)? {
                return read(&asker, &key, &sealed).map(Some);
            }
        }
        Ok(None)
    })
    .await
}

fn read(app: &App, key: &[u8], sealed: &[u8]) -> Result<CommandRecord, StoreError> {
    let record = CommandRecord::decode(key, &open(app, key, sealed)?);
    record.ok_or(StoreError::Corrupt { what: "a command".to_owned() })
}

fn open(app: &App, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut opener = app.shared.opener.lock().unwrap_or_else(PoisonError::into_inner);
    opener.open(key, sealed).map_err(|_| StoreError::Corrupt { what: "a sealed entry".to_owned() })
}
