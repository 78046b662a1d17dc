//! Files that never change, in a bucket of a store that speaks S3.
//!
//! ```text
//! place    which bucket, and how it knows this node      transfer  a file on its way, hashed
//! http     one request, signed, and what comes back      error     what is wrong, and whether it may pass
//! ```
//!
//! Each file is one PUT with its length: the store has it whole or not at all, nothing half is left that costs money,
//! `If-None-Match: *` holds for all of it, and so does its checksum. A segment of some 100 MB is far below the 5 GiB that
//! one PUT may have, and is sent again whole when a connection ends in it.
//!
//! The store checks what arrives by `x-amz-checksum-sha256`. What comes back is checked by the same digest, kept beside the
//! object, which finds damage and no malice: a segment is opened by its digest in the manifest, and a log's tiles are
//! verified from the hashes of its end in the hot store.

mod error;
mod http;
mod place;
mod transfer;

use std::path::Path;

use hyper::StatusCode;
use rusty_s3::actions::{DeleteObject, GetObject, HeadBucket, HeadObject, PutObject};
use rusty_s3::{Bucket, Credentials};
use thingward_store::{Depot, StoreError};
use tokio::runtime::Handle;

pub use self::error::{Problem, S3Error};
use self::http::{Client, Headers, no_body};
pub use self::place::{BadBucketUrl, BucketUrl, Login, Patience, Place};
pub(crate) use self::transfer::Upload;
use self::transfer::{FILE_BYTES_MAX, download};
use crate::depot::wait;

/// The digest of an object's bytes in Base64, as the store checks it.
const CHECKSUM: &str = "x-amz-checksum-sha256";
/// The same, as the store keeps it and gives it back.
const KEPT_CHECKSUM: &str = "x-amz-meta-sha256";

/// All files of all nodes.
pub struct S3Depot {
    client: Client,
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    patience: Patience,
    runtime: Handle,
}

impl S3Depot {
    /// Finds the bucket, and tries whether it may be read.
    ///
    /// # Errors
    ///
    /// [`S3Error`].
    pub async fn open(place: &Place) -> Result<Self, S3Error> {
        let bucket = place.bucket.0.clone();
        let depot = Self {
            client: Client::new(&bucket, place.tls.clone(), place.patience.quiet),
            credentials: place.login.credentials(),
            bucket,
            prefix: place.prefix.clone(),
            patience: place.patience,
            runtime: Handle::current(),
        };
        match depot.patiently(async || depot.try_reading().await).await {
            Ok(()) => Ok(depot),
            Err(problem) => Err(depot.error(problem)),
        }
    }

    /// An answer to a GET says what is wrong, and one to a HEAD whether there is a bucket at all.
    async fn try_reading(&self) -> Result<(), Problem> {
        match self.start_of(&self.name_of("nothing")).await {
            Ok(_) | Err(Problem::Missing) => {}
            Err(problem) => return Err(problem),
        }
        let head = HeadBucket::new(&self.bucket, Some(&self.credentials));
        match self.client.ask(head, &[], no_body(), self.patience.quiet).await {
            Ok(_) => Ok(()),
            Err(Problem::Missing) => Err(Problem::NoBucket),
            Err(problem) => Err(problem),
        }
    }

    fn name_of(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    fn error(&self, problem: Problem) -> S3Error {
        S3Error { bucket: self.bucket.base_url().to_string(), problem }
    }

    fn failed(&self, what: &str, problem: Problem) -> StoreError {
        match problem {
            Problem::Missing => StoreError::NotFound { what: "file" },
            Problem::Disk(source) => StoreError::Io { what: what.to_owned(), source },
            problem => {
                StoreError::Io { what: what.to_owned(), source: std::io::Error::other(self.error(problem)) }
            }
        }
    }

    /// Asks again while what is wrong may pass by itself.
    async fn patiently<T>(&self, mut ask: impl AsyncFnMut() -> Result<T, Problem>) -> Result<T, Problem> {
        let mut pause = self.patience.pause;
        for _ in 1..self.patience.tries {
            match ask().await {
                Err(problem) if problem.may_pass() => {
                    tracing::debug!(%problem, "the object store is asked again");
                }
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        ask().await
    }

    async fn start_of(&self, name: &str) -> Result<http::Answer, Problem> {
        let get = GetObject::new(&self.bucket, Some(&self.credentials), name);
        self.client.ask(get, &[], no_body(), self.patience.quiet).await
    }

    async fn put_once(&self, name: &str, file: &Upload<'_>) -> Result<(), Problem> {
        if let Some(kept) = self.kept(name).await? {
            return if kept.is(file) { Ok(()) } else { Err(Problem::Another) };
        }
        match self.send(name, file, &[("if-none-match", "*")]).await {
            // A store that does not know the condition. Nothing was there a moment ago, and whoever else writes a file of
            // this name writes the same: names of segments are random, tiles follow from the log.
            Err(Problem::Failing { status: StatusCode::NOT_IMPLEMENTED, .. }) => {
                self.send(name, file, &[]).await
            }
            sent => sent,
        }
    }

    /// What the store knows of an object.
    async fn kept(&self, name: &str) -> Result<Option<Kept>, Problem> {
        let head = HeadObject::new(&self.bucket, Some(&self.credentials), name);
        match self.client.ask(head, &[], no_body(), self.patience.quiet).await {
            Ok(answer) => Ok(Some(Kept { bytes: answer.length(), checksum: answer.text(KEPT_CHECKSUM) })),
            Err(Problem::Missing) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    async fn send(&self, name: &str, file: &Upload<'_>, condition: &Headers<'_>) -> Result<(), Problem> {
        let put = PutObject::new(&self.bucket, Some(&self.credentials), name);
        let length = file.bytes.to_string();
        let headers = [
            &[
                ("content-length", length.as_str()),
                (CHECKSUM, &file.checksum),
                (KEPT_CHECKSUM, &file.checksum),
            ],
            condition,
        ];
        let body = file.body().await.map_err(Problem::Disk)?;
        self.client.ask(put, &headers.concat(), body, self.patience.for_bytes(file.bytes)).await.map(drop)
    }

    async fn remove_once(&self, name: &str) -> Result<(), Problem> {
        let delete = DeleteObject::new(&self.bucket, Some(&self.credentials), name);
        self.client.ask(delete, &[], no_body(), self.patience.quiet).await.map(drop)
    }

    async fn get_once(&self, name: &str, file: &Path) -> Result<(), Problem> {
        let answer = self.start_of(name).await?;
        let expected = Kept { bytes: answer.length(), checksum: answer.text(KEPT_CHECKSUM) };
        let bytes = expected.bytes.unwrap_or(FILE_BYTES_MAX);
        if bytes > FILE_BYTES_MAX {
            return Err(Problem::TooLong);
        }
        let limit = self.patience.for_bytes(bytes);
        let got = tokio::time::timeout(limit, download(answer, file, self.patience.quiet)).await;
        let got = got.map_err(|_| Problem::Silent(limit))??;
        if expected.is(&got) { Ok(()) } else { Err(Problem::Damaged) }
    }
}

/// What is known of an object without reading it.
struct Kept {
    bytes: Option<u64>,
    /// None of one that somebody put there by other means.
    checksum: Option<String>,
}

impl Kept {
    fn is(&self, file: &Upload<'_>) -> bool {
        self.bytes.is_none_or(|bytes| bytes == file.bytes)
            && self.checksum.as_ref().is_none_or(|checksum| *checksum == file.checksum)
    }
}

impl Depot for S3Depot {
    fn put(&self, name: &str, file: &Path) -> Result<(), StoreError> {
        let put = async {
            let file = Upload::of(file).await?;
            let name = self.name_of(name);
            self.patiently(async || self.put_once(&name, &file).await).await
        };
        wait(&self.runtime, put).map_err(|p| self.failed("put a file into the object store", p))
    }

    fn get(&self, name: &str, file: &Path) -> Result<(), StoreError> {
        let name = self.name_of(name);
        let got = wait(&self.runtime, self.patiently(async || self.get_once(&name, file).await));
        got.map_err(|problem| match problem {
            Problem::Damaged => StoreError::Corrupt { what: format!("`{name}` in the object store") },
            problem => self.failed("get a file from the object store", problem),
        })
    }

    fn remove(&self, name: &str) -> Result<(), StoreError> {
        let name = self.name_of(name);
        let removed = wait(&self.runtime, self.patiently(async || self.remove_once(&name).await));
        match removed {
            Ok(()) | Err(Problem::Missing) => Ok(()),
            Err(problem) => Err(self.failed("remove a file from the object store", problem)),
        }
    }
}
