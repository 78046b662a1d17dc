//! Clocks: CC, "Time", "Time Parameters", "Clock".

bit_fields! {
    /// An hour, and whether the clock has lost its power.
    Hour {
        clock_failed: bool = 7, 1,
        hour: u8 = 0, 5,
    }
}

command_class! {
    /// What time it is: class 0x8a.
    Time = 0x8a {
        TimeGet = 0x01 {},
        TimeReport = 0x02 { hour: Hour, minute: u8, second: u8 },
        DateGet = 0x03 {},
        DateReport = 0x04 { year: u16, month: u8, day: u8 },
    }
}

command_class! {
    /// The date and time of a thing's clock, in UTC: class 0x8b.
    TimeParameters = 0x8b {
        Set = 0x01 { year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8 },
        Get = 0x02 {},
        Report = 0x03 { year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8 },
    }
}

bit_fields! {
    /// A day, from 1 for Monday and 0 for unknown, and an hour.
    DayAndHour {
        weekday: u8 = 5, 3,
        hour: u8 = 0, 5,
    }
}

command_class! {
    /// A clock that knows the day of the week: class 0x81.
    Clock = 0x81 {
        Set = 0x04 { day_and_hour: DayAndHour, minute: u8 },
        Get = 0x05 {},
        Report = 0x06 { day_and_hour: DayAndHour, minute: u8 },
    }
}
