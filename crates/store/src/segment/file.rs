//! Segment files: written, opened, cleaned up.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Compression;
use parquet::encryption::decrypt::{FileDecryptionProperties, KeyRetriever};
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use thingward_crypto::sha256;
use thingward_model::TenantName;

use crate::error::StoreError;
use crate::keys::{TenantKeyRing, master_key_id};
use crate::row::Row;
use crate::secret::Secret;
use crate::segment::{SegmentId, SegmentInfo, WRITE_ROWS, batch_of, material, read_schema, schema};
use crate::shelf::Shelf;

/// Rows per row group: what a query that wants one device reads too much at most.
const ROW_GROUP_ROWS: usize = 65_536;
/// A file whose footer is encrypted starts and ends with these (Parquet encryption, §5.1).
const MAGIC: &[u8; 4] = b"PARE";
/// Length of the footer, then the magic.
const TAIL_BYTES: u64 = 8;
/// Longest footer that is read. About 100 times what a million rows need.
const FOOTER_BYTES_MAX: u32 = 64 * 1024 * 1024;

pub(crate) fn folder_of(segments: &Path, tenant: &TenantName) -> PathBuf {
    segments.join(tenant.as_str())
}

/// The name of a segment's file in the folder of all segments.
pub(crate) fn file_of(tenant: &TenantName, id: SegmentId) -> String {
    format!("{tenant}/{id}.parquet")
}

pub(crate) fn path_of(segments: &Path, tenant: &TenantName, id: SegmentId) -> PathBuf {
    segments.join(file_of(tenant, id))
}

/// What the name of a file ends with until it is whole.
const UNFINISHED: &str = "tmp";

pub(crate) fn unfinished_path_of(segments: &Path, tenant: &TenantName, id: SegmentId) -> PathBuf {
    folder_of(segments, tenant).join(format!("{id}.parquet.{UNFINISHED}"))
}

/// Writes sorted `rows` into a new file at `path` and syncs it.
pub(crate) fn write_segment(
    path: &Path,
    tenant: &TenantName,
    id: SegmentId,
    keys: &TenantKeyRing,
    rows: &[Row],
) -> Result<File, StoreError> {
    let file = fs::OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io("create a segment"))?;
    let properties = properties(tenant, id, keys)?;
    let mut writer =
        ArrowWriter::try_new(BufWriter::new(&file), schema(), Some(properties)).map_err(written)?;
    for chunk in rows.chunks(WRITE_ROWS) {
        let batch = batch_of(chunk).map_err(|e| StoreError::database("write a segment", e))?;
        writer.write(&batch).map_err(written)?;
    }
    let buffered = writer.into_inner().map_err(written)?;
    buffered.into_inner().map_err(|e| StoreError::from_io("write a segment", e.into_error()))?;
    file.sync_all().map_err(StoreError::io("write a segment"))?;
    Ok(file)
}

fn properties(
    tenant: &TenantName,
    id: SegmentId,
    keys: &TenantKeyRing,
) -> Result<WriterProperties, StoreError> {
    let dek = Secret::random()?;
    let metadata = material::write(master_key_id(tenant), keys.newest(), &dek)?;
    let encryption = FileEncryptionProperties::builder(dek.as_bytes().to_vec())
        .with_footer_key_metadata(metadata)
        .with_aad_prefix(format!("thingward/{tenant}/{id}").into_bytes())
        .with_aad_prefix_storage(true)
        .build()
        .map_err(written)?;
    // Without page indexes a file has no part that a full read leaves unchecked.
    Ok(WriterProperties::builder()
        .set_compression(Compression::LZ4_RAW)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("thingward ", env!("CARGO_PKG_VERSION")).to_owned())
        .with_file_encryption_properties(encryption)
        .build())
}

fn written(e: ParquetError) -> StoreError {
    match e {
        ParquetError::External(e) => match e.downcast::<io::Error>() {
            Ok(e) => StoreError::from_io("write a segment", *e),
            Err(e) => StoreError::Database { what: "write a segment", source: e },
        },
        other => StoreError::database("write a segment", other),
    }
}

/// SHA-256 over what the encryption of a segment does not cover, and its footer. `None` when the file is not laid
/// out as a segment:
///
/// ```text
/// magic | modules, each: length(4, little endian) box | footer: key metadata, box | footer's length(4) | magic
/// ```
///
/// A box that is changed does not open; a module's length that is changed is found here.
pub(crate) fn digest(file: &File, bytes: u64) -> io::Result<Option<[u8; 32]>> {
    let Some(tail_at) = bytes.checked_sub(TAIL_BYTES) else { return Ok(None) };
    let (mut head, mut tail) = ([0; 4], [0; 8]);
    file.read_exact_at(&mut head, 0)?;
    file.read_exact_at(&mut tail, tail_at)?;
    let [a, b, c, d, magic @ ..] = tail;
    let footer_bytes = u32::from_le_bytes([a, b, c, d]);
    let footer_at = tail_at.checked_sub(u64::from(footer_bytes));
    let (Some(footer_at), Ok(length)) = (footer_at, usize::try_from(footer_bytes)) else { return Ok(None) };
    if head != *MAGIC || magic != *MAGIC || footer_bytes > FOOTER_BYTES_MAX {
        return Ok(None);
    }
    let mut covered = vec![0; length];
    file.read_exact_at(&mut covered, footer_at)?;
    covered.extend_from_slice(&tail);
    let mut at = head.len() as u64;
    while at < footer_at {
        let mut module_bytes = [0; 4];
        file.read_exact_at(&mut module_bytes, at)?;
        covered.extend_from_slice(&module_bytes);
        at += module_bytes.len() as u64 + u64::from(u32::from_le_bytes(module_bytes));
    }
    Ok((at == footer_at).then(|| sha256(&[&covered])))
}

/// Opens a segment for reading.
///
/// # Errors
///
/// [`StoreError::NotFound`] when the file is gone, [`StoreError::WrongKey`] when it is another tenant's,
/// [`StoreError::Corrupt`] when it is not what was written.
pub(crate) fn open_segment(
    segments: &Shelf,
    tenant: &TenantName,
    info: &SegmentInfo,
    keys: Arc<TenantKeyRing>,
) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
    let damaged = || damaged(info);
    let path = segments.fetch(&file_of(tenant, info.id)).map_err(|e| match e {
        StoreError::NotFound { .. } => StoreError::NotFound { what: "segment file" },
        other => other,
    })?;
    let file = File::open(path).map_err(StoreError::io("open a segment"))?;
    let bytes = file.metadata().map_err(StoreError::io("open a segment"))?.len();
    let digest = digest(&file, bytes).map_err(StoreError::io("read a segment"))?;
    if bytes != info.bytes || digest != Some(info.digest) {
        return Err(damaged());
    }
    let retriever = Arc::new(Retriever { keys, found: Mutex::new(None) });
    let properties =
        FileDecryptionProperties::with_key_retriever(Arc::clone(&retriever) as Arc<dyn KeyRetriever>)
            .build()
            .map_err(|_| damaged())?;
    let options = ArrowReaderOptions::new().with_file_decryption_properties(properties);
    let read = |_| retriever.take_error().unwrap_or_else(damaged);
    let of_file = ArrowReaderMetadata::load(&file, options.clone()).map_err(read)?;
    let options = options.with_schema(read_schema(of_file.schema()));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(of_file.metadata()), options).map_err(read)?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata))
}

pub(crate) fn damaged(info: &SegmentInfo) -> StoreError {
    StoreError::corrupt(format!("segment {}", info.id))
}

/// Finds a segment's key once; Parquet asks several times per column.
struct Retriever {
    keys: Arc<TenantKeyRing>,
    found: Mutex<Option<Result<Found, StoreError>>>,
}

/// A key with the metadata that it was found by.
struct Found {
    metadata: Vec<u8>,
    dek: Secret,
}

impl Retriever {
    fn take_error(&self) -> Option<StoreError> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).take()?.err()
    }
}

impl KeyRetriever for Retriever {
    fn retrieve_key(&self, metadata: &[u8]) -> Result<Vec<u8>, ParquetError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(&*found, Some(Ok(f)) if f.metadata == metadata) {
            let dek = material::open(metadata, &self.keys);
            *found = Some(dek.map(|dek| Found { metadata: metadata.to_vec(), dek }));
        }
        match &*found {
            Some(Ok(f)) => Ok(f.dek.as_bytes().to_vec()),
            _ => Err(ParquetError::General("no key".to_owned())),
        }
    }
}

/// Files under `segments` that no manifest entry names: what a stop between writing and committing leaves.
pub(crate) fn orphans(
    segments: &Path,
    known: &[(TenantName, SegmentInfo)],
) -> Result<Vec<PathBuf>, StoreError> {
    let read = StoreError::io;
    let known: HashSet<_> = known.iter().map(|(tenant, s)| path_of(segments, tenant, s.id)).collect();
    let mut orphans = vec![];
    for tenant in fs::read_dir(segments).map_err(read("list segments"))? {
        let tenant = tenant.map_err(read("list segments"))?.path();
        if !tenant.is_dir() {
            continue;
        }
        for file in fs::read_dir(&tenant).map_err(read("list segments"))? {
            let file = file.map_err(read("list segments"))?.path();
            if !known.contains(&file) {
                orphans.push(file);
            }
        }
    }
    Ok(orphans)
}

/// Removes files that a stop left half written; their rows are still hot. A whole file stays, even when nothing
/// refers to it: then the log may be the one that is not whole.
pub(crate) fn remove_unfinished(
    segments: &Path,
    known: &[(TenantName, SegmentInfo)],
) -> Result<(), StoreError> {
    let unfinished = |file: &PathBuf| file.extension().is_some_and(|e| e == UNFINISHED);
    orphans(segments, known)?
        .into_iter()
        .filter(unfinished)
        .try_for_each(|file| fs::remove_file(file).map_err(StoreError::io("remove an unfinished segment")))
}
