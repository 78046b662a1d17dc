//! What work costs: processor time of this process, which another process beside it does not lengthen.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time so far, of all threads.
fn processor() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// What some work took.
pub(crate) fn spent<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = processor();
    let done = work();
    (done, processor() - before)
}

/// So many times `work` in a second of the processor.
pub(crate) fn rate(times: u32, mut work: impl FnMut()) -> f64 {
    let ((), spent) = spent(|| (0..times).for_each(|_| work()));
    f64::from(times) / spent.as_secs_f64()
}

/// One figure of several rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn push(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    pub(crate) fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// The least and the most.
    pub(crate) fn spread(&self) -> (f64, f64) {
        (self.0[0], self.0[self.0.len() - 1])
    }
}

/// Of this part of sorted figures, the greatest.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the list")]
    let at = (part * (sorted.len() - 1) as f64).round() as usize;
    sorted[at]
}
