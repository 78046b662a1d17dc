//! The service role.
