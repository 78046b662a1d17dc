//! Ascon-AEAD128 seals and opens.
#![no_std]
#![no_main]

mod sealing;

thingward_chip::image!(sealing::run);
