//! Members as the service knows them: list, show, claim, release, revoke, and their evidence.

use std::time::Duration;

use serde_json::json;

use super::Global;
use super::connection::Tenant as Whose;
use crate::api::Path;
use crate::failure::Failure;
use crate::output::{self, fields, table};

/// What the service does with members.
#[derive(Debug)]
pub(super) enum Member {
    List { tenant: Whose, role: Option<String> },
    Show { tenant: Whose, name: String },
    Claim { tenant: Whose, name: String, role: String, lifetime: Duration },
    Release { tenant: Whose, name: String },
    Revoke { tenant: Whose, name: String, reason: String },
    AskEvidence { tenant: Whose, name: String },
    AcceptEvidence { tenant: Whose, name: String },
}

impl Member {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        match self {
            Self::List { tenant, role } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "devices"]);
                let items = api.list(&path.query("role", role.as_deref())).await?;
                let columns = [
                    ("NAME", "name"),
                    ("ROLE", "role"),
                    ("STATE", "state"),
                    ("CONNECTED", "connected"),
                    ("GATEWAY", "gateway"),
                    ("KEEPER", "keeper"),
                    ("MAKER", "maker"),
                    ("SERIAL", "maker_serial"),
                    ("CREATED", "created"),
                ];
                output::value(global.output, &json!(items), |_| table(&items, &columns));
            }
            Self::Show { tenant, name } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "devices", &name]);
                let mut device = api.get(path.as_str()).await?;
                output::value(global.output, &device.clone(), |_| {
                    let keys = device.get_mut("keys").map(serde_json::Value::take).unwrap_or_default();
                    if let Some(attestation) = device.get_mut("attestation") {
                        *attestation = attested(attestation).into();
                    }
                    let columns = [
                        ("KEY", "id"),
                        ("CERTIFICATE", "serial"),
                        ("UNTIL", "not_after"),
                        ("REVOKED", "revoked"),
                        ("REASON", "reason"),
                    ];
                    let keys = table(keys.as_array().map_or(&[], Vec::as_slice), &columns);
                    format!("{}\n{keys}", fields(&device))
                });
            }
            Self::Claim { tenant, name, role, lifetime } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "claims"]);
                let body = json!({"name": name, "role": role, "lifetime_seconds": lifetime.as_secs()});
                output::value(global.output, &api.post(path.as_str(), &body).await?, fields);
            }
            Self::Release { tenant, name } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "devices", &name, "release"]);
                api.post(path.as_str(), &json!({})).await?;
                output::value(global.output, &json!({"released": name}), fields);
            }
            Self::Revoke { tenant, name, reason } => {
                let path = Path::new(&["tenants", &tenant.name(&api).await?, "devices", &name, "revoke"]);
                api.post(path.as_str(), &json!({"reason": reason})).await?;
                output::value(global.output, &json!({"revoked": name}), fields);
            }
            Self::AskEvidence { tenant, name } => {
                let tenant = tenant.name(&api).await?;
                let path = Path::new(&["tenants", &tenant, "devices", &name, "attestation", "ask"]);
                api.post(path.as_str(), &json!({})).await?;
                output::value(global.output, &json!({"asked": name}), fields);
            }
            Self::AcceptEvidence { tenant, name } => {
                let tenant = tenant.name(&api).await?;
                let shown = api.get(Path::new(&["tenants", &tenant, "devices", &name]).as_str()).await?;
                let evidence = shown.get("attestation").and_then(|a| a.get("evidence")).cloned();
                let evidence = evidence.ok_or_else(|| {
                    Failure::Usage(format!(
                        "{name} has proved nothing; `thingward device ask-evidence {name}`"
                    ))
                })?;
                let path = Path::new(&["tenants", &tenant, "devices", &name, "attestation", "accept"]);
                api.post(path.as_str(), &json!({"evidence": evidence})).await?;
                output::value(global.output, &json!({"accepted": name, "evidence": evidence}), fields);
            }
        }
        Ok(())
    }
}

/// In words, what a member proved of itself.
fn attested(attestation: &serde_json::Value) -> String {
    let text = |name: &str| attestation.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let changed = attestation.get("changed_pcrs").and_then(serde_json::Value::as_array);
    let changed = changed.map(|pcrs| pcrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    let place = match (text("keys"), changed.as_deref()) {
        ("tpm", Some("")) => format!("key in the TPM, started as on {}", text("reference")),
        ("tpm", Some(pcrs)) => {
            format!("key in the TPM, started otherwise than on {}: PCR {pcrs}", text("reference"))
        }
        ("dice", _) => {
            let (firmware, reference) = (text("firmware"), text("reference"));
            let state = match text("standing") {
                "pending" => {
                    format!("other than on {reference}: no member until `thingward device accept-evidence`")
                }
                "accepted" => format!("accepted on {reference}: a member once its gateway renews it"),
                _ => format!("as on {reference}"),
            };
            format!("key made from the secret of its part and its firmware {firmware}, {state}")
        }
        ("unproven", _) => "nothing proves where its key is".to_owned(),
        _ => return "not attested".to_owned(),
    };
    format!("{place}; {}; on {}", text("software"), text("latest"))
}
