//! The loop, on a source that is made up.

use super::*;
use crate::model::Batch;
use crate::source::Source;
use std::sync::{Arc, Mutex};

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
    let mut feed = Feed::default();
    let mut snapshots = feed.every();
    let reopen: Reopen = Box::new(|_, _| Err(SourceError::new("there is one")));
    let beats = Beats { interval: Duration::from_secs(1), duration: None, eager: false };
    let live = Live::new(Origin::from(source as Box<dyn Source>), reopen, beats);
    let resolver = Resolver::new(ResolveOptions { hosts: false, ..ResolveOptions::default() });
    let mut engine = Pipeline::new(live, TableConfig::default(), resolver, feed, None);
    let mut shown = Vec::new();
    for _ in 0..3 {
        let beat = engine.driver.at_once().unwrap();
        engine.take(beat).unwrap();
        shown.push(snapshots.recv().await.unwrap());
    }
    let asked = asked.lock().unwrap();
    assert_eq!(shown.iter().map(|snapshot| snapshot.at).collect::<Vec<_>>(), *asked);
    let intervals: Vec<_> = shown.iter().skip(1).map(|snapshot| snapshot.interval).collect();
    assert_eq!(intervals, [asked[1].since(asked[0]), asked[2].since(asked[1])]);
}

/// Cannot be polled; says what it had when it is closed.
struct Broken(Arc<Mutex<u32>>);

impl Source for Broken {
    fn since(&self) -> Mono {
        Mono(0)
    }

    fn poll(&mut self, _now: Mono, _out: &mut Batch) -> Result<(), SourceError> {
        Err(SourceError::new("the map is gone"))
    }

    fn urgent(&self) -> bool {
        false
    }

    fn close(&mut self, now: Mono, out: &mut Batch) -> Result<(), SourceError> {
        (out.from, out.to) = (now, now);
        *self.0.lock().unwrap() += 1;
        Ok(())
    }
}

/// L2: it ended where it stood, and what was left in the kernel was never shown.
#[test]
fn an_error_is_the_end_and_what_is_left_is_shown_before() {
    let closed: Arc<Mutex<u32>> = Arc::default();
    let source = Broken(Arc::clone(&closed));
    let options = EngineOptions {
        interval: Duration::from_millis(1),
        duration: None,
        eager: false,
        resolve: ResolveOptions { hosts: false, ..ResolveOptions::default() },
        keep_ended: 0,
        max_rows: 65_536,
    };
    let open = |_| Ok(Origin::from(Box::new(source) as Box<dyn Source>));
    let reopen: Reopen = Box::new(|_, _| Err(SourceError::new("there is one")));
    let mut feed = Feed::default();
    let mut snapshots = feed.every();
    let (_control, running) = Engine::start(open, reopen, options, feed).unwrap().into_parts();
    assert!(snapshots.blocking_recv().is_some(), "the last snapshot");
    assert_eq!(running.join().unwrap_err().message, "the map is gone");
    assert_eq!(*closed.lock().unwrap(), 1);
}
