//! `reading`: ask, export, follow.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Args, Subcommand, ValueEnum};
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use thingward_model::clock::now;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Global;
use super::connection::Tenant as Whose;
use super::key::recipient_key;
use super::sealed::Chains;
use super::tenancy::show_items;
use crate::api::{Api, Path};
use crate::failure::Failure;
use crate::output::{self, Column, Output, Progress, table};
use crate::when;

const COLUMNS: [Column; 8] = [
    ("TIME", "time"),
    ("DEVICE", "device"),
    ("STREAM", "stream"),
    ("FIELD", "field"),
    ("VALUE", "value"),
    ("UNIT", "unit"),
    ("ASSURANCE", "assurance"),
    ("LINK", "link"),
];
/// Most readings that one request asks for.
const PAGE: u64 = 10_000;

/// Which readings.
#[derive(Debug, Args)]
pub(super) struct Filter {
    #[command(flatten)]
    tenant: Whose,
    /// Of one device.
    #[arg(long)]
    device: Option<String>,
    /// Of one stream; with no device, of the streams of this name of all devices.
    #[arg(long)]
    stream: Option<String>,
    /// Of one field.
    #[arg(long)]
    field: Option<String>,
    /// Measured at or after: RFC 3339, or how long ago, as 1h.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Measured before: RFC 3339, or how long ago.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// With at least this standing behind them: none, transport, gateway-sealed, device-signed, end-to-end.
    #[arg(long)]
    assurance: Option<String>,
}

impl Filter {
    async fn path(&self, api: &Api, verb: Option<&str>) -> Result<Path, Failure> {
        let moment = |text: &Option<String>| -> Result<Option<String>, Failure> {
            let parse = |t: &String| when::moment(t, now()).map(|t| t.to_string()).map_err(Failure::Usage);
            text.as_ref().map(parse).transpose()
        };
        let (from, to) = (moment(&self.from)?, moment(&self.to)?);
        let tenant = self.tenant.name(api).await?;
        let parts: Vec<&str> = ["tenants", &tenant, "readings"].into_iter().chain(verb).collect();
        Ok(Path::new(&parts)
            .query("device", self.device.as_deref())
            .query("stream", self.stream.as_deref())
            .query("field", self.field.as_deref())
            .query("from", from.as_deref())
            .query("to", to.as_deref())
            .query("assurance", self.assurance.as_deref()))
    }
}

/// A form for exported readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Csv,
    Jsonl,
    Parquet,
    Senml,
}

#[derive(Debug, Subcommand)]
pub(super) enum Reading {
    /// Show readings in the order of their times, hot ones and history together.
    Query {
        #[command(flatten)]
        filter: Filter,
        /// Most readings to show.
        #[arg(long, default_value_t = 100)]
        limit: u64,
        /// Open sealed readings here with the customer's secret key: the file of `key create --recipient`.
        #[arg(long, value_name = "FILE")]
        recipient: Option<PathBuf>,
    },
    /// Show the latest value of each field.
    Latest {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show count, mean, least, greatest and percentiles over stretches of time.
    Windows {
        #[command(flatten)]
        filter: Filter,
        /// Length of a window, as 15m.
        #[arg(long, value_parser = when::duration)]
        every: std::time::Duration,
        /// Percentiles, 0 to 100.
        #[arg(long = "percentile", value_delimiter = ',')]
        percentiles: Vec<f64>,
    },
    /// Export all matching readings.
    Export {
        #[command(flatten)]
        filter: Filter,
        /// The form.
        #[arg(long, value_enum, default_value_t = Format::Csv)]
        format: Format,
        /// The file; standard output when left out. One that is there is never overwritten.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show readings as they come, until Ctrl-C.
    Follow {
        #[command(flatten)]
        filter: Filter,
    },
}

impl Reading {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let api = global.api()?;
        match self {
            Self::Query { filter, limit, recipient } => {
                query(global, &api, &filter, limit, recipient.as_deref()).await
            }
            Self::Latest { filter } => {
                let path = filter.path(&api, Some("latest")).await?;
                show_items(global, &api.get(path.as_str()).await?, &COLUMNS);
                Ok(())
            }
            Self::Windows { filter, every, percentiles } => {
                let wanted: Vec<String> = percentiles.iter().map(ToString::to_string).collect();
                let path = filter.path(&api, Some("windows")).await?;
                let path = path
                    .query("every", Some(&every.as_secs().to_string()))
                    .query("percentiles", Some(&wanted.join(",")));
                let columns = [
                    ("START", "start"),
                    ("DEVICE", "device"),
                    ("STREAM", "stream"),
                    ("FIELD", "field"),
                    ("COUNT", "count"),
                    ("MEAN", "mean"),
                    ("MIN", "min"),
                    ("MAX", "max"),
                    ("PERCENTILES", "percentiles"),
                    ("UNIT", "unit"),
                ];
                show_items(global, &api.get(path.as_str()).await?, &columns);
                Ok(())
            }
            Self::Export { filter, format, file } => {
                let format = match format {
                    Format::Csv => "csv",
                    Format::Jsonl => "jsonl",
                    Format::Parquet => "parquet",
                    Format::Senml => "senml",
                };
                let path = filter.path(&api, None).await?.query("format", Some(format));
                download(global, &api, &path, file.as_deref()).await
            }
            Self::Follow { filter } => follow(global, &api, &filter).await,
        }
    }
}

async fn query(
    global: &Global,
    api: &Api,
    filter: &Filter,
    limit: u64,
    recipient: Option<&std::path::Path>,
) -> Result<(), Failure> {
    let path = filter.path(api, None).await?;
    let (mut readings, mut next) = (Vec::<Json>::new(), None::<String>);
    loop {
        let have = u64::try_from(readings.len()).unwrap_or(u64::MAX);
        let wanted = limit.saturating_sub(have).min(PAGE);
        if wanted == 0 {
            break;
        }
        let page = path.clone().query("limit", Some(&wanted.to_string())).query("cursor", next.as_deref());
        let mut page = api.get(page.as_str()).await?;
        if let Some(Json::Array(more)) = page.get_mut("readings").map(Json::take) {
            readings.extend(more);
        }
        next = page.get("next").and_then(Json::as_str).map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    if let Some(file) = recipient {
        let secret = recipient_key(file)?;
        let tenant = filter.tenant.name(api).await?;
        let chains = Path::new(&["tenants", &tenant, "chains"]).query("device", filter.device.as_deref());
        let chains = api.list(&chains).await?;
        let chains = Chains::new(&chains, &secret)?;
        let opened: Result<Vec<_>, _> = readings.iter().map(|r| chains.open(r)).collect();
        readings = opened?.into_iter().flatten().collect();
    }
    output::value(global.output, &json!(readings), |_| table(&readings, &COLUMNS));
    Ok(())
}

/// Saves what a path answers, whole or not at all.
pub(super) async fn download(
    global: &Global,
    api: &Api,
    path: &Path,
    file: Option<&std::path::Path>,
) -> Result<(), Failure> {
    let Some(file) = file else {
        let mut out = tokio::io::stdout();
        return copy(global, api, path, &mut out).await.map(drop);
    };
    let exists = || Failure::Failed(format!("{} is there already and stays as it is", file.display()));
    if file.exists() {
        return Err(exists());
    }
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = file.with_file_name(name);
    let mut out = tokio::fs::File::create(&part).await.map_err(Failure::file(&part))?;
    let result = match copy(global, api, path, &mut out).await {
        // A hard link fails where a rename would overwrite.
        Ok(bytes) => match out.sync_all().await.and_then(|()| std::fs::hard_link(&part, file)) {
            Ok(()) => Ok(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(exists()),
            Err(e) => Err(Failure::file(file)(e)),
        },
        Err(e) => Err(e),
    };
    let _ = std::fs::remove_file(&part);
    let saved = json!({"file": file.display().to_string(), "bytes": result?});
    output::value(global.output, &saved, output::fields);
    Ok(())
}

async fn copy(
    global: &Global,
    api: &Api,
    path: &Path,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<u64, Failure> {
    let mut body = api.stream(path.as_str()).await?.into_body();
    let progress = Progress::new(global.output, "bytes", None);
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Failure::Failed(format!("the answer broke off: {e}")))?;
        let bytes: Bytes = frame.into_data().unwrap_or_default();
        out.write_all(&bytes).await.map_err(Failure::of)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        total += length;
        progress.advance(length);
    }
    progress.finish();
    out.flush().await.map_err(Failure::of)?;
    Ok(total)
}

async fn follow(global: &Global, api: &Api, filter: &Filter) -> Result<(), Failure> {
    let path = filter.path(api, Some("follow")).await?;
    let mut body = api.stream(path.as_str()).await?.into_body();
    let mut pending = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            stopped = crate::serve::stop_requested() => return stopped,
        };
        let Some(frame) = frame else {
            return Err(Failure::Unreachable("the service ended the answer".to_owned()));
        };
        let frame = frame.map_err(|e| Failure::Unreachable(format!("the answer broke off: {e}")))?;
        pending.extend_from_slice(&frame.into_data().unwrap_or_default());
        while let Some(end) = pending.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            show(global.output, String::from_utf8_lossy(&line).trim_end());
        }
    }
}

fn show(output: Output, line: &str) {
    if output == Output::Json {
        return output::line(line);
    }
    let reading: Json = serde_json::from_str(line).unwrap_or_default();
    match reading.get("skipped") {
        Some(n) => {
            output::line(&format!("… {n} records came faster than they could be shown; a query has them"))
        }
        None => {
            let text = table(&[reading], &COLUMNS);
            output::line(text.lines().nth(1).unwrap_or_default());
        }
    }
}
