//! Ed25519: keys and signatures.
#![no_std]
#![no_main]

mod signing;

thingward_chip::image!(signing::run);
