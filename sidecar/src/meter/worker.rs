//! A thread that is made at the start and kept for good. A tenant can take every pid of the pod, and meter is in it:
//! what needs another thread later would end meter, or keep it from the operator.

use std::{
    io,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

/// Answers one question after another.
#[derive(Debug)]
pub(crate) struct Worker<Q, A> {
    questions: mpsc::Sender<(Q, oneshot::Sender<A>)>,
    _thread: JoinHandle<()>,
}

impl<Q: Send + 'static, A: Send + 'static> Worker<Q, A> {
    pub(crate) fn start(name: &str, mut answer: impl FnMut(Q) -> A + Send + 'static) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel::<(Q, oneshot::Sender<A>)>();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            for (question, asker) in asked {
                // Whoever asked has given up meanwhile: the next one has waited long enough.
                if !asker.is_closed() {
                    let _ = asker.send(answer(question));
                }
            }
        })?;
        Ok(Self { questions, _thread: thread })
    }

    /// The answer comes later, or never, where a call hangs.
    pub(crate) fn ask(&self, question: Q) -> oneshot::Receiver<A> {
        let (asker, answer) = oneshot::channel();
        // A thread that has ended drops what it is asked: the receiver says so.
        let _ = self.questions.send((question, asker));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[tokio::test]
    async fn every_question_is_answered_by_the_one_thread() {
        let worker = Worker::start("worker", |n: u32| (n + 1, thread::current().id())).unwrap();
        let mut threads = HashSet::new();
        for n in 0..10 {
            let (answer, thread) = worker.ask(n).await.unwrap();
            assert_eq!(answer, n + 1);
            threads.insert(thread);
        }
        assert_eq!(threads.len(), 1);
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_any_more_is_passed_over() {
        let (go, gone) = mpsc::channel::<()>();
        let mut asked = Vec::new();
        let worker = Worker::start("worker", move |n: u32| {
            let _ = gone.recv();
            asked.push(n);
            asked.clone()
        });
        let worker = worker.unwrap();
        let first = worker.ask(1);
        drop(worker.ask(2));
        let third = worker.ask(3);
        drop(go);
        assert_eq!((first.await.unwrap(), third.await.unwrap()), (vec![1], vec![1, 3]));
    }
}
