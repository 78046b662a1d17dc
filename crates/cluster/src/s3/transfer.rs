//! A file on its way to a store or from it, piece by piece, and the digest of its bytes.

use std::io;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::error::Problem;
use super::http::{Answer, Body};
use crate::depot::create;

/// Longest file that one PUT may carry (Amazon S3, "Uploading objects").
pub(super) const FILE_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// What is in memory of a file at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// A file that is whole, with its digest.
pub(crate) struct Upload<'a> {
    path: &'a Path,
    pub(crate) bytes: u64,
    /// SHA-256 in Base64.
    pub(crate) checksum: String,
}

impl<'a> Upload<'a> {
    /// Reads a file through for its digest: the store wants it before the bytes.
    pub(crate) async fn of(path: &'a Path) -> Result<Self, Problem> {
        let mut file = File::open(path).await.map_err(Problem::Disk)?;
        let mut hash = Hash::new();
        while let Some(piece) = next_piece(&mut file).await.map_err(Problem::Disk)? {
            hash.update(&piece);
        }
        let hashed = hash.end(path);
        if hashed.bytes > FILE_BYTES_MAX { Err(Problem::TooLong) } else { Ok(hashed) }
    }

    /// Its bytes.
    pub(super) async fn body(&self) -> io::Result<Body> {
        let file = File::open(self.path).await?;
        let pieces = stream::try_unfold(file, |mut file| async move {
            Ok::<_, io::Error>(next_piece(&mut file).await?.map(|piece| (Frame::data(piece), file)))
        });
        Ok(StreamBody::new(pieces).boxed_unsync())
    }
}

/// Writes an answer's body to a new file that is durable then, and says what it is. `quiet`: longest time for a piece.
pub(super) async fn download(
    mut answer: Answer,
    path: &Path,
    quiet: Duration,
) -> Result<Upload<'_>, Problem> {
    let mut file = create(path).await.map_err(Problem::Disk)?;
    let mut hash = Hash::new();
    loop {
        let next = tokio::time::timeout(quiet, answer.body.frame()).await;
        let Some(frame) = next.map_err(|_| Problem::Silent(quiet))? else { break };
        let frame = frame.map_err(|e| Problem::Cut(io::Error::other(e)))?;
        let Ok(piece) = frame.into_data() else { continue };
        hash.update(&piece);
        if hash.bytes > FILE_BYTES_MAX {
            return Err(Problem::TooLong);
        }
        file.write_all(&piece).await.map_err(Problem::Disk)?;
    }
    file.sync_all().await.map_err(Problem::Disk)?;
    Ok(hash.end(path))
}

async fn next_piece(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    file.take(PIECE_BYTES as u64).read_to_end(&mut piece).await?;
    Ok(if piece.is_empty() { None } else { Some(Bytes::from(piece)) })
}

struct Hash {
    context: Context,
    bytes: u64,
}

impl Hash {
    fn new() -> Self {
        Self { context: Context::new(&SHA256), bytes: 0 }
    }

    fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
        self.bytes += piece.len() as u64;
    }

    fn end(self, path: &Path) -> Upload<'_> {
        Upload { path, bytes: self.bytes, checksum: STANDARD.encode(self.context.finish()) }
    }
}
