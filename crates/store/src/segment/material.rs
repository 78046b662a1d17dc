//! The key metadata of a segment: "key material" of Parquet's key tools, kept in the file itself.
//!
//! The segment's key (DEK) is boxed under the tenant's Parquet KEK with the 16 bytes of the KEK's id as associated
//! data; the KEK is boxed under the customer's key. Both boxes are `nonce(12) || ciphertext || tag(16)`, base64.
//! Field names are those of Apache Arrow and parquet-java; the KEK's id is the id of the tenant key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::keys::{TenantKey, TenantKeyId, TenantKeyRing};
use crate::secret::Secret;

/// The only version of the format.
const TYPE: &str = "PKMT1";
/// The key tools insist on these two; a customer's KMS client may use or ignore them.
const KMS_INSTANCE: &str = "thingward";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyMaterial {
    key_material_type: String,
    internal_storage: bool,
    is_footer_key: bool,
    #[serde(rename = "kmsInstanceID")]
    kms_instance_id: String,
    #[serde(rename = "kmsInstanceURL")]
    kms_instance_url: String,
    #[serde(rename = "masterKeyID")]
    master_key_id: String,
    #[serde(rename = "wrappedDEK")]
    wrapped_dek: String,
    double_wrapping: bool,
    #[serde(rename = "keyEncryptionKeyID")]
    kek_id: String,
    #[serde(rename = "wrappedKEK")]
    wrapped_kek: String,
}

/// The key metadata for a segment sealed under `dek`.
pub(crate) fn write(master_key_id: String, kek: &TenantKey, dek: &Secret) -> Result<Vec<u8>, StoreError> {
    let wrapped_dek = kek.parquet_kek().seal(dek.as_bytes(), kek.id().as_bytes())?;
    let material = KeyMaterial {
        key_material_type: TYPE.to_owned(),
        internal_storage: true,
        is_footer_key: true,
        kms_instance_id: KMS_INSTANCE.to_owned(),
        kms_instance_url: KMS_INSTANCE.to_owned(),
        master_key_id,
        wrapped_dek: STANDARD.encode(wrapped_dek),
        double_wrapping: true,
        kek_id: STANDARD.encode(kek.id().as_bytes()),
        wrapped_kek: STANDARD.encode(kek.wrapped_parquet_kek()),
    };
    serde_json::to_vec(&material).map_err(|e| StoreError::database("write key material", e))
}

/// The segment's key, from its key metadata and the tenant's keys.
///
/// # Errors
///
/// [`StoreError::WrongKey`] when it was sealed under a key that the tenant does not have.
pub(crate) fn open(metadata: &[u8], keys: &TenantKeyRing) -> Result<Secret, StoreError> {
    let corrupt = || StoreError::corrupt("the key metadata of a segment");
    let material: KeyMaterial = serde_json::from_slice(metadata).map_err(|_| corrupt())?;
    if material.key_material_type != TYPE || !material.double_wrapping || !material.internal_storage {
        return Err(corrupt());
    }
    let id = STANDARD.decode(&material.kek_id).ok().and_then(|id| id.try_into().ok()).ok_or_else(corrupt)?;
    let wrapped = STANDARD.decode(&material.wrapped_dek).map_err(|_| corrupt())?;
    let wrong = || StoreError::WrongKey { what: "a segment" };
    let kek = keys.find(&TenantKeyId::new(id)).ok_or_else(wrong)?;
    let dek = kek.parquet_kek().open(&wrapped, kek.id().as_bytes()).ok_or_else(wrong)?;
    Secret::from_slice(&dek).ok_or_else(corrupt)
}
