//! A card processor for demos and tests, on this machine only.

use thingward_payment::testbed::{Testbed, TestbedSettings};
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::output;
use crate::serve::stop_requested;

/// Runs until a signal.
///
/// # Errors
///
/// [`Failure`] when its home or port is not to be had.
pub(crate) async fn run(settings: &TestbedSettings) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    let at = Testbed::start(settings, &mut tasks).await.map_err(Failure::of)?;
    let home = settings.home.display();
    output::line(&format!(
        "TESTBED, NOT A PAYMENT PROVIDER: test cards on http://{at}. No card and no money here is real.\n\n\
         [service.payments]\ntestbed = \"http://{at}\"\napi_key_file = \"{home}/api.key\"\n\
         webhook_secret_file = \"{home}/webhook.secret\""
    ));
    stop_requested().await
}
