//! Which files are open, and for whom.
//!
//! Connections share a file as long as its path leads to it. After a rename the
//! next connection opens a new one, while earlier ones go on in the old; a
//! third file of one path is never open, so descriptors can be counted before.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use super::settings::{LoggedBackend, LoggedService};

/// How many files of one path are open at once: the present one and the one
/// before it.
const OPEN_PER_PATH: usize = 2;

/// The most descriptors that the logs of `services` need. One more is in use
/// while a file is replaced.
pub(super) fn descriptors_for(services: &[LoggedService]) -> usize {
    let backends = services.iter().flat_map(|service| &service.backends);
    let paths: HashSet<&Path> = backends.flat_map(LoggedBackend::files).collect();
    paths.len() * OPEN_PER_PATH + 1
}

/// Something open that was found by a path.
pub(super) trait AtPath {
    /// Whether `path` still leads to it.
    fn is_at(&self, path: &Path) -> bool;
}

/// A user's hold on an open file; the file is closed with the last one.
#[derive(Debug)]
pub(super) struct Shared<T>(RefCell<Place<T>>);

#[derive(Debug)]
enum Place<T> {
    Open(T),
    /// Its users go on in a later file of the same path.
    MovedTo(Rc<Shared<T>>),
}

impl<T> Shared<T> {
    /// Does something with the file that this hold leads to.
    pub(super) fn with<R>(&self, action: impl FnOnce(&mut T) -> R) -> R {
        match &mut *self.0.borrow_mut() {
            Place::Open(file) => action(file),
            Place::MovedTo(later) => later.with(action),
        }
    }
}

/// Open files of one kind, by their paths.
#[derive(Debug)]
pub(super) struct Files<T>(HashMap<PathBuf, Vec<Weak<Shared<T>>>>);

impl<T> Default for Files<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: AtPath> Files<T> {
    /// The file at `path`: the one that is open, if that is still there, else
    /// what `open` gives.
    ///
    /// # Errors
    ///
    /// What `open` says.
    pub(super) fn at(
        &mut self,
        path: &Path,
        open: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<Rc<Shared<T>>> {
        let known = self.0.entry(path.to_owned()).or_default();
        let mut alive: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
        if let Some(newest) = alive.last()
            && newest.with(|file| file.is_at(path))
        {
            return Ok(Rc::clone(newest));
        }
        let opened = Rc::new(Shared(RefCell::new(Place::Open(open()?))));
        alive.push(Rc::clone(&opened));
        while alive.len() > OPEN_PER_PATH {
            // Dropping what is replaced closes it.
            let oldest = alive.remove(0);
            oldest.0.replace(Place::MovedTo(Rc::clone(&opened)));
        }
        *known = alive.iter().map(Rc::downgrade).collect();
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::{BackendName, ServiceName};

    /// Stands for a file; `here` says whether its path leads to it.
    struct Thing {
        number: u32,
        here: Rc<RefCell<u32>>,
    }

    impl AtPath for Thing {
        fn is_at(&self, _: &Path) -> bool {
            *self.here.borrow() == self.number
        }
    }

    fn hold(files: &mut Files<Thing>, here: &Rc<RefCell<u32>>) -> Rc<Shared<Thing>> {
        let (number, here) = (*here.borrow(), Rc::clone(here));
        let open = || Ok(Thing { number, here });
        files.at(Path::new("/log"), open).unwrap()
    }

    fn number(hold: &Rc<Shared<Thing>>) -> u32 {
        hold.with(|thing| thing.number)
    }

    #[test]
    fn file_is_shared_until_its_path_leads_elsewhere() {
        let (mut files, here) = (Files::default(), Rc::new(RefCell::new(1)));
        let (first, second) = (hold(&mut files, &here), hold(&mut files, &here));
        assert!(Rc::ptr_eq(&first, &second));

        *here.borrow_mut() = 2;
        let third = hold(&mut files, &here);

        assert_eq!((number(&first), number(&third)), (1, 2));
    }

    #[test]
    fn two_files_of_a_path_are_open_at_most() {
        let (mut files, here) = (Files::default(), Rc::new(RefCell::new(1)));
        let mut holds = vec![hold(&mut files, &here)];
        for next in 2..=4 {
            *here.borrow_mut() = next;
            holds.push(hold(&mut files, &here));
        }

        let numbers: Vec<u32> = holds.iter().map(number).collect();
        assert_eq!(numbers, [3, 4, 3, 4]);
    }

    #[test]
    fn descriptors_are_counted_for_each_path_once() {
        let backend = |name, traffic: &str| LoggedBackend {
            name: BackendName::new(name).unwrap(),
            verbose: false,
            traffic: Some(traffic.into()),
            throughput: Some("/throughput".into()),
            capture: None,
        };
        let service = LoggedService {
            name: ServiceName::new("shop").unwrap(),
            backends: vec![backend("maple", "/one"), backend("birch", "/two")],
        };
        assert_eq!(descriptors_for(&[service]), 7);
    }

    #[test]
    fn file_is_closed_with_its_last_user() {
        let (mut files, here) = (Files::default(), Rc::new(RefCell::new(1)));
        let first = hold(&mut files, &here);
        let weak = Rc::downgrade(&first);
        drop(first);

        assert!(weak.upgrade().is_none());
        assert!(
            files
                .at(Path::new("/log"), || Err(io::ErrorKind::NotFound.into()))
                .is_err()
        );
    }
}
