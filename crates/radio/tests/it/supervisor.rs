//! Drivers that crash, hang, lie and flood, and the gateway's end of them.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use thingward_radio::supervisor::{Event, Reason, Settings, Supervisor};
use thingward_radio::wire::{Address, Call, Name, Order, Report, Secret, Start, Value};
use tokio::time::timeout;

use crate::bench::{DRIVER, Line};

struct Bench {
    line: Line,
    supervisor: Supervisor,
}

impl Bench {
    /// A driver that is up, was told to start, and is ready.
    async fn started() -> (Self, UnixStream) {
        let line = Line::new();
        let supervisor = Supervisor::start(Settings {
            radio: "test".to_owned(),
            program: DRIVER.into(),
            arguments: vec![line.path.clone().into()],
            patience: Duration::from_secs(1),
        });
        let mut bench = Self { line, supervisor };
        let stream = bench.start(Start::default()).await;
        (bench, stream)
    }

    /// Waits for the process, tells it to start, and waits until it is ready.
    async fn start(&mut self, start: Start) -> UnixStream {
        assert_eq!(self.event().await, Event::Up);
        self.order(Order::Start(start)).await;
        let stream = self.line.accept();
        assert!(matches!(self.event().await, Event::Report(Report::Ready { .. })));
        stream
    }

    async fn event(&mut self) -> Event {
        timeout(Duration::from_secs(20), self.supervisor.events.recv()).await.unwrap().unwrap()
    }

    async fn order(&self, order: Order) {
        self.supervisor.orders.send(order).await.unwrap();
    }

    /// The next event is its end; then it is there again, and works.
    async fn ends_and_works_again(&mut self, reason: Reason) -> UnixStream {
        assert_eq!(self.event().await, Event::Down(reason));
        let mut stream = self.start(Start::default()).await;
        script(&mut stream, "reading again\n");
        assert_eq!(thing(&self.event().await), Some("again"));
        stream
    }
}

fn script(line: &mut UnixStream, words: &str) {
    line.write_all(words.as_bytes()).unwrap();
}

fn thing(event: &Event) -> Option<&str> {
    let Event::Report(Report::Readings(said)) = event else { return None };
    Some(said.thing.as_str())
}
