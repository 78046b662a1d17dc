//! Powers that the curve needs.

use super::Element;

impl Element {
    /// To the power of (p - 5) / 8 = 2^252 - 3.
    #[inline(never)]
    pub(crate) fn power_of_eighth(&self) -> Self {
        let x = self;
        let x2 = x.squared();
        let x9 = &x2.squared_times(2) * x;
        let x11 = &x9 * &x2;
        let ones_5 = &x11.squared() * &x9;
        let ones_10 = &ones_5.squared_times(5) * &ones_5;
        let ones_20 = &ones_10.squared_times(10) * &ones_10;
        let ones_40 = &ones_20.squared_times(20) * &ones_20;
        let ones_50 = &ones_40.squared_times(10) * &ones_10;
        let ones_100 = &ones_50.squared_times(50) * &ones_50;
        let ones_200 = &ones_100.squared_times(100) * &ones_100;
        let ones_250 = &ones_200.squared_times(50) * &ones_50;
        &ones_250.squared_times(2) * x
    }

    /// 1/x, or 0 for 0: to the power of p - 2.
    #[cfg(not(target_arch = "avr"))]
    #[inline(never)]
    pub(crate) fn inverse(&self) -> Self {
        let mut inverse = self.power_of_eighth().squared_times(3);
        inverse *= self;
        inverse *= &self.squared();
        inverse
    }
}
