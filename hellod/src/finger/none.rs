//! No reader at all: for whoever builds hellod's parts without one.

use std::os::fd::OwnedFd;

use hello_dbus::finger::{Finger, Seen};

use super::{Answering, Biometrics, FingerError, FingerKey, Reader, Sensor};

/// Where there is no reader, and nobody who would read one.
#[derive(Debug, Clone, Copy)]
pub struct NoReader;

macro_rules! nothing {
    () => {
        Box::pin(async { Err(FingerError::Missing("nobody is there".into())) })
    };
}

impl Reader for NoReader {
    fn has<'a>(&'a self, _: u32, _: &'a str) -> Answering<'a, bool> {
        nothing!()
    }
    fn keep<'a>(&'a self, _: (u32, &'a str), _: &'a FingerKey, _: Biometrics) -> Answering<'a, OwnedFd> {
        nothing!()
    }
    fn obey(&self, _: Biometrics) -> Answering<'_, ()> {
        nothing!()
    }
    fn forget(&self, _: u32) -> Answering<'_, ()> {
        nothing!()
    }
    fn look<'a>(&'a self, _: &'a str) -> Answering<'a, Sensor> {
        nothing!()
    }
    fn verify<'a>(&'a self, _: &'a str, _: u32, _: &'a Sensor) -> Answering<'a, u32> {
        nothing!()
    }
    fn learn<'a>(&'a self, _: &'a str, _: Finger) -> Answering<'a, u32> {
        nothing!()
    }
    fn next(&self, _: u32) -> Answering<'_, Seen> {
        nothing!()
    }
    fn cancel(&self, _: u32) -> Answering<'_, ()> {
        nothing!()
    }
    fn sign<'a>(&'a self, _: u32, _: &'a [u8]) -> Answering<'a, Vec<u8>> {
        nothing!()
    }
    fn remove<'a>(&'a self, _: &'a str, _: &'a str) -> Answering<'a, ()> {
        nothing!()
    }
}
