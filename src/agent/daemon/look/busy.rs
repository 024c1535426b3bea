//! Whether dockerd is at something that a restart would cut off. [`Look::busy`](super::Look::busy) says what is seen
//! and what is not.

use std::path::{Path, PathBuf};

use super::super::facts::DaemonFacts;
use super::RealLook;

/// Where it keeps images and containers when it does not say.
const DATA_ROOT: &str = "/var/lib/docker";
/// The directory below the data root that is emptied at every start.
const SCRATCH: &str = "tmp";
/// What containerd's store, and BuildKit's own, call what is coming in.
const INGEST: &str = "/ingest/";
/// Where a step of a BuildKit build has its files.
const EXECUTOR: &str = "/buildkit/executor/";
/// Directories in [`SCRATCH`] that stand for work that is being done.
const WORK: [(&str, &str); 2] = [
    ("docker-builder", "an image is being built"),
    ("docker-import-", "an image is being loaded"),
];

impl RealLook {
    pub(super) async fn signs_of_work(&self, facts: &DaemonFacts) -> Vec<String> {
        let Some(process) = &facts.process else {
            return Vec::new();
        };
        let socket = &self.sought.docker_socket;
        let root = self.engines.data_root(socket).await;
        let root = root.unwrap_or_else(|| DATA_ROOT.into());
        let mut open = self.processes.open_files(process.pid);
        for containerd in self.processes.find("containerd") {
            open.extend(self.processes.open_files(containerd.id.pid));
        }
        let running = self.processes.find("runc").into_iter();
        let steps: Vec<Vec<String>> = running.map(|runc| runc.argv).collect();
        let scratch = self.files.list(&root.join(SCRATCH)).unwrap_or_default();
        let cached = self.engines.build_cache_in_use(socket).await.unwrap_or_default();
        let mut signs = Vec::new();
        signs.extend(incoming(&open, &root));
        signs.extend(builds(&open, &steps, &root, cached));
        signs.extend(scratch.iter().filter_map(|name| work_in(name)));
        signs.dedup();
        signs
    }
}

/// Layers that are coming in.
fn incoming(open: &[PathBuf], root: &Path) -> Option<String> {
    let scratch = root.join(SCRATCH);
    let comes = |path: &&PathBuf| path.starts_with(&scratch) || path.to_string_lossy().contains(INGEST);
    let count = open.iter().filter(comes).count();
    (count > 0).then(|| format!("an image is being pulled, loaded or built ({count} files are coming in)"))
}

/// Steps and results of BuildKit.
fn builds(open: &[PathBuf], steps: &[Vec<String>], root: &Path, cached: usize) -> Option<String> {
    let below = |text: &str| text.contains(EXECUTOR) && Path::new(text).starts_with(root);
    let bundles = open.iter().any(|path| path.to_str().is_some_and(below));
    let runs = steps.iter().flatten().any(|word| below(word));
    (bundles || runs || cached > 0)
        .then(|| format!("BuildKit is building ({cached} records of its cache are in use)"))
}

fn work_in(name: &str) -> Option<String> {
    let found = WORK.iter().find(|(prefix, _)| name.starts_with(prefix));
    found.map(|(_, sign)| (*sign).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_work_leaves_its_sign() {
        let root = Path::new("/var/lib/docker");
        let open = |path: &str| vec![PathBuf::from("/dev/null"), PathBuf::from(path)];
        // As real engines were seen to have them open: 20.10 and 28.5 with graph drivers, 28.5 with containerd's store.
        let pulls = [
            "/var/lib/docker/tmp/GetImageBlob2900342952",
            "/var/lib/containerd/io.containerd.content.v1.content/ingest/c7c1d8f03305/data",
        ];
        for path in pulls {
            assert!(incoming(&open(path), root).is_some(), "{path}");
        }
        let step = "/var/lib/docker/buildkit/executor/awye6sbv1a9xdhiou3n32o6jf";
        let config = format!("{step}/config.json");
        assert!(builds(&open(&config), &[], root, 0).is_some());
        let runc = ["runc", "run", "--bundle", step].map(str::to_owned).to_vec();
        assert!(builds(&[], &[runc], root, 0).is_some());
        assert!(builds(&[], &[], root, 2).unwrap().contains("2 records"));
        assert!(work_in("docker-builder1635883849").is_some());
        assert!(work_in("docker-import-1").is_some());
    }

    #[test]
    fn an_idle_engine_shows_none() {
        let root = Path::new("/var/lib/docker");
        let open = [
            "/var/lib/docker/buildkit/cache.db",
            "/var/lib/docker/containers/6b/6b-json.log",
            "/run/docker/containerd/6b/init-stdout",
            "socket:[5]",
            "/srv/other/buildkit/executor/x/config.json",
        ];
        let open = open.map(PathBuf::from);
        assert_eq!(incoming(&open, root), None);
        assert_eq!(builds(&open, &[], root, 0), None);
        assert_eq!(work_in("GetImageBlob5"), None);
    }
}
