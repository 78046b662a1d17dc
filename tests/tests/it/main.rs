//! Device, gateway and service together, over real sockets.

mod coap;
mod corpus;
mod edges;
mod life_of_a_reading;
mod membership;
mod parking;
mod tpm;
