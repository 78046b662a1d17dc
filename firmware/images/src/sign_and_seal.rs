//! Ed25519 and Ascon in one image.
#![no_std]
#![no_main]

mod sealing;
mod signing;

thingward_chip::image!(run);

fn run() {
    signing::run();
    sealing::run();
}
