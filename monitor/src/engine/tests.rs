//! The loop, on a source that is made up.

use super::*;
use std::sync::Mutex;

/// Takes a while to answer, as one does that waits for the kernel; remembers when it was asked.
struct Slow(Arc<Mutex<Vec<Mono>>>);

impl Source for Slow {
    fn since(&self) -> Mono {
        Mono(0)
    }

    fn poll(&mut self, now: Mono, out: &mut Batch) -> Result<(), SourceError> {
        (out.from, out.to) = (now, now);
        self.0.lock().unwrap().push(now);
        while clock::now().since(now) < Duration::from_millis(5) {}
        Ok(())
    }

    fn urgent(&self) -> bool {
        false
    }

    fn close(&mut self, now: Mono, out: &mut Batch) -> Result<(), SourceError> {
        self.poll(now, out)
    }
}

/// D4: the time that the first answer took was in the interval before it, and not in the one whose bytes it was: the second
/// rate of every run was too high, up to twenty times.
#[tokio::test]
async fn an_interval_ends_when_the_source_is_asked_and_not_when_it_has_answered() {
    let asked = Arc::default();
    let source = Box::new(Slow(Arc::clone(&asked)));
    let (snapshots, mut feed) = mpsc::channel(1);
    let mut engine = Loop {
        wakes: Wakes::of(&*source),
        source,
        attribution: None,
        reopen: Box::new(|_, _| Err(SourceError::new("there is one"))),
        config: TableConfig::default(),
        table: FlowTable::new(TableConfig::default(), Mono(0)),
        resolver: Resolver::new(ResolveOptions { hosts: false, ..ResolveOptions::default() }),
        snapshots,
        boot: clock::Boot::default(),
        own: own::Own::default(),
        inspect: None,
        listed: None,
        refused: None,
    };
    let mut shown = Vec::new();
    for _ in 0..3 {
        engine.tick().unwrap();
        shown.push(feed.recv().await.unwrap());
    }
    let asked = asked.lock().unwrap();
    assert_eq!(shown.iter().map(|snapshot| snapshot.at).collect::<Vec<_>>(), *asked);
    let intervals: Vec<_> = shown.iter().skip(1).map(|snapshot| snapshot.interval).collect();
    assert_eq!(intervals, [asked[1].since(asked[0]), asked[2].since(asked[1])]);
}
