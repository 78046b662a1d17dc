#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| thingward_tests::decoders::zwave::security(data));
