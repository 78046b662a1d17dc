//! What is locked: CC, "Door Lock", "Door Lock Logging", "Lock", "Protection".

use super::field::{Counted, Duration, SizedMask};
use super::user_code::SizedSecret;

bit_fields! {
    /// Which handles open, as bits: four outside, four inside.
    Handles {
        outside_handles: u8 = 4, 4,
        inside_handles: u8 = 0, 4,
    }
}

bit_fields! {
    /// How the door is.
    Condition {
        latch_closed: bool = 2, 1,
        bolt_unlocked: bool = 1, 1,
        door_closed: bool = 0, 1,
    }
}

group! {
    /// Where a lock is going: 0x00 is unsecured, 0xff secured.
    LockTarget {
        target_mode: u8,
        duration: Duration,
    }
}

bit_fields! {
    /// What helps the bolt.
    Assistance {
        block_to_block: bool = 1, 1,
        twist_assist: bool = 0, 1,
    }
}

group! {
    /// Settings that came with version 4.
    Automatic {
        auto_relock_time: u16,
        hold_and_release_time: u16,
        assistance: Assistance,
    }
}

bit_fields! {
    /// What can be sensed.
    Parts {
        latch_supported: bool = 2, 1,
        bolt_supported: bool = 1, 1,
        door_supported: bool = 0, 1,
    }
}

bit_fields! {
    /// What can be set.
    Features {
        auto_relock_supported: bool = 3, 1,
        hold_and_release_supported: bool = 2, 1,
        twist_assist_supported: bool = 1, 1,
        block_to_block_supported: bool = 0, 1,
    }
}

command_class! {
    /// A lock: class 0x62. Modes are 0x00 unsecured, 0x01 with a timeout, 0x10 from inside, 0x20 from outside, 0xff secured.
    DoorLock = 0x62 {
        OperationSet = 0x01 { mode: u8 },
        OperationGet = 0x02 {},
        OperationReport = 0x03 {
            current_mode: u8,
            handles: Handles,
            condition: Condition,
            /// 0xfe where there is none.
            timeout_minutes: u8,
            timeout_seconds: u8,
            target: Option<LockTarget>,
        },
        ConfigurationSet = 0x04 {
            operation_type: u8,
            handles: Handles,
            timeout_minutes: u8,
            timeout_seconds: u8,
            automatic: Option<Automatic>,
        },
        ConfigurationGet = 0x05 {},
        ConfigurationReport = 0x06 {
            /// 1 constant, 2 with a timeout.
            operation_type: u8,
            handles: Handles,
            /// 0xfe where there is none.
            timeout_minutes: u8,
            timeout_seconds: u8,
            automatic: Option<Automatic>,
        },
        CapabilitiesGet = 0x07 {},
        CapabilitiesReport = 0x08 {
            supported_operation_types: SizedMask<0, 5>,
            supported_door_lock_modes: Counted<u8, 8>,
            handles: Handles,
            parts: Parts,
            features: Features,
        },
    }
}

bit_fields! {
    /// Whether a record is there, and the hour of it.
    RecordHour {
        status: u8 = 5, 3,
        hour: u8 = 0, 5,
    }
}

command_class! {
    /// What a lock remembers: class 0x4c. Records are numbered from 1; 0 asks for the latest.
    DoorLockLogging = 0x4c {
        RecordsSupportedGet = 0x01 {},
        RecordsSupportedReport = 0x02 { records_count: u8 },
        RecordGet = 0x03 { record_number: u8 },
        RecordReport = 0x04 {
            record_number: u8,
            year: u16,
            month: u8,
            day: u8,
            hour: RecordHour,
            minute: u8,
            second: u8,
            event_type: u8,
            user_id: u8,
            user_code: SizedSecret<8>,
        },
    }
}

bit_fields! {
    /// Whether it is locked.
    LockState { locked: bool = 0, 1 }
}

command_class! {
    /// A simple lock: class 0x76.
    Lock = 0x76 {
        Set = 0x01 { state: LockState },
        Get = 0x02 {},
        Report = 0x03 { state: LockState },
    }
}

bit_fields! {
    /// 0 free, 1 by a sequence of keys, 2 not at all.
    Local { local: u8 = 0, 4 }
}

bit_fields! {
    /// 0 free, 1 no control, 2 no answers.
    Radio { rf: u8 = 0, 4 }
}

command_class! {
    /// What may be operated at the thing and by radio: class 0x75.
    Protection = 0x75 {
        Set = 0x01 { local: Local, rf: Option<Radio> },
        Get = 0x02 {},
        Report = 0x03 { local: Local, rf: Option<Radio> },
    }
}
