//! Radios that are not there, at a Unix socket, for demos: a coordinator of Zigbee with a thermometer, and a controller of
//! Z-Wave with a bulb. Everything above the line is as it is with real ones.
//!
//! In its home a radio keeps `flash`, what it and its thing still know when they had no power; `printed`, what is printed on
//! the thing; and `address`, what its driver calls the thing.

mod home;
mod zigbee;
mod zwave;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::output;
use crate::serve::stop_requested;
use home::Home;
use zigbee::Thermometer;
use zwave::Bulb;

/// How often time passes for a radio when nothing comes.
const TICK: Duration = Duration::from_millis(50);
const READ_BYTES: usize = 1024;

/// What a radio speaks.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Kind {
    Zigbee,
    Zwave,
}

/// How a radio that is not there runs.
pub(crate) struct Settings {
    pub(crate) kind: Kind,
    /// The socket that is its line.
    pub(crate) line: PathBuf,
    /// What it keeps; made when it is not there.
    pub(crate) home: PathBuf,
}

/// A radio at its end of the line, with a thing.
trait Emulated {
    /// What is printed on the thing.
    fn printed(&self) -> Zeroizing<String>;

    /// What its driver calls it.
    fn address(&self) -> String;

    /// What both keep.
    fn flash(&self) -> Zeroizing<Vec<u8>>;

    /// Another driver is at the line.
    fn connected(&mut self);

    fn receive(&mut self, bytes: &[u8], now: Duration);

    fn tick(&mut self, now: Duration);

    /// Bytes for the line, if there are any.
    fn output(&mut self) -> Option<Vec<u8>>;
}

/// Runs until a signal.
///
/// # Errors
///
/// [`Failure`] when its home or socket is not to be had.
pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    let mut home = Home::open(&settings.home)?;
    let mut radio: Box<dyn Emulated> = match settings.kind {
        Kind::Zigbee => Box::new(Thermometer::open(&home)?),
        Kind::Zwave => Box::new(Bulb::open(&home)?),
    };
    home.write("printed", radio.printed().as_bytes())?;
    home.write("address", radio.address().as_bytes())?;
    home.keep(radio.flash())?;
    let listener = home::listen(&settings.line)?;
    output::line(&format!(
        "TESTBED, NOT A RADIO: nothing goes over the air. {} at {}.",
        radio.address(),
        settings.line.display()
    ));
    tokio::select! {
        ended = serve(&mut *radio, &mut home, &listener) => ended,
        stopped = stop_requested() => stopped,
    }
}

/// One driver after the other.
async fn serve(radio: &mut dyn Emulated, home: &mut Home, listener: &UnixListener) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let (driver, _) = listener.accept().await.map_err(Failure::of)?;
        radio.connected();
        attend(radio, home, driver, start).await?;
    }
}

/// Until the driver goes away.
async fn attend(
    radio: &mut dyn Emulated,
    home: &mut Home,
    mut driver: UnixStream,
    start: Instant,
) -> Result<(), Failure> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        // Nothing came: time passes.
        if let Ok(read) = tokio::time::timeout(TICK, driver.read(&mut bytes)).await {
            let Ok(count @ 1..) = read else { return Ok(()) };
            radio.receive(bytes.get(..count).unwrap_or_default(), start.elapsed());
        }
        radio.tick(start.elapsed());
        // Nobody hears of what could be forgotten.
        home.keep(radio.flash())?;
        while let Some(bytes) = radio.output() {
            if driver.write_all(&bytes).await.is_err() {
                return Ok(());
            }
        }
    }
}
