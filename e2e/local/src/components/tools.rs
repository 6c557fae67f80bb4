//! What is built from Go modules and npm packages, and where the binaries are linked.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    Layout,
    go::{self, Built, Module, Tool},
    npm::{self, Toolchain},
};

const KUBERNETES: Module<'_> = Module {
    folder: "kubernetes",
    main: "k8s.io/kubernetes",
    tools: &[
        Tool { binary: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver" },
        Tool { binary: "kube-controller-manager", package: "k8s.io/kubernetes/cmd/kube-controller-manager" },
        Tool { binary: "kube-scheduler", package: "k8s.io/kubernetes/cmd/kube-scheduler" },
        Tool { binary: "kubelet", package: "k8s.io/kubernetes/cmd/kubelet" },
        Tool { binary: "kube-proxy", package: "k8s.io/kubernetes/cmd/kube-proxy" },
        Tool { binary: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl" },
    ],
    tags: "",
    ldflags: "-X k8s.io/component-base/version.gitVersion={version} -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34",
    cgo: false,
};

const ETCD: Module<'_> = Module {
    folder: "etcd",
    main: "go.etcd.io/etcd/server/v3",
    tools: &[Tool { binary: "etcd", package: "go.etcd.io/etcd/server/v3" }],
    tags: "",
    ldflags: "",
    cgo: false,
};

const CONTAINERD: Module<'_> = Module {
    folder: "containerd",
    main: "github.com/containerd/containerd/v2",
    tools: &[
        Tool { binary: "containerd", package: "github.com/containerd/containerd/v2/cmd/containerd" },
        Tool {
            binary: "containerd-shim-runc-v2",
            package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        },
    ],
    tags: "no_btrfs,no_zfs,no_devmapper",
    ldflags: "-X github.com/containerd/containerd/v2/version.Version={version}",
    cgo: false,
};

const COREDNS: Module<'_> = Module {
    folder: "coredns",
    main: "github.com/coredns/coredns",
    tools: &[Tool { binary: "coredns", package: "hawser.dev/local/coredns" }],
    tags: "",
    ldflags: "",
    cgo: false,
};

const NETPOL: Module<'_> = Module {
    folder: "netpol",
    main: "sigs.k8s.io/kube-network-policies",
    tools: &[Tool { binary: "netpol", package: "hawser.dev/local/netpol" }],
    tags: "",
    ldflags: "",
    cgo: false,
};

const VERSITYGW: Module<'_> = Module {
    folder: "versitygw",
    main: "github.com/versity/versitygw",
    tools: &[Tool { binary: "versitygw", package: "github.com/versity/versitygw/cmd/versitygw" }],
    tags: "",
    ldflags: "-X main.Version={version}",
    cgo: false,
};

const HELM: Module<'_> = Module {
    folder: "helm",
    main: "helm.sh/helm/v3",
    tools: &[Tool { binary: "helm", package: "helm.sh/helm/v3/cmd/helm" }],
    tags: "",
    ldflags: "-X helm.sh/helm/v3/internal/version.version={version}",
    cgo: false,
};

const KUBECONFORM: Module<'_> = Module {
    folder: "kubeconform",
    main: "github.com/yannh/kubeconform",
    tools: &[Tool { binary: "kubeconform", package: "github.com/yannh/kubeconform/cmd/kubeconform" }],
    tags: "",
    ldflags: "-X main.version={version}",
    cgo: false,
};

const GETH: Module<'_> = Module {
    folder: "geth",
    main: "github.com/ethereum/go-ethereum",
    tools: &[Tool { binary: "geth", package: "github.com/ethereum/go-ethereum/cmd/geth" }],
    tags: "",
    ldflags: "",
    cgo: false,
};

const PAUSE: Module<'_> = Module {
    folder: "pause",
    main: "hawser.dev/local/pause",
    tools: &[Tool { binary: "pause", package: "hawser.dev/local/pause" }],
    tags: "",
    ldflags: "",
    cgo: false,
};

/// Helm, built if need be: charts are checked without a cluster too.
pub fn helm(layout: &Layout) -> Result<PathBuf> {
    Ok(go::build(layout, &HELM)?.binary("helm"))
}

/// etcd and Kubernetes, built if need be: all that a control plane without nodes takes.
pub(crate) fn control_plane(layout: &Layout) -> Result<(Built, Built)> {
    Ok((go::build(layout, &ETCD)?, go::build(layout, &KUBERNETES)?))
}

/// kubeconform, built if need be.
pub fn kubeconform(layout: &Layout) -> Result<PathBuf> {
    Ok(go::build(layout, &KUBECONFORM)?.binary("kubeconform"))
}

/// geth, built if need be: the cluster's own chain is anvil's, and the end-to-end tests go through another client too.
pub fn geth(layout: &Layout) -> Result<PathBuf> {
    Ok(go::build(layout, &GETH)?.binary("geth"))
}

/// Everything that is built or installed, by name.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) kubernetes: Built,
    pub(crate) etcd: Built,
    pub(crate) containerd: Built,
    pub(crate) coredns: Built,
    pub(crate) netpol: Built,
    pub(crate) versitygw: Built,
    pub(crate) pause: Built,
    pub(crate) helm: Built,
    pub(crate) kubeconform: Built,
    pub(crate) npm: Toolchain,
}

impl Tools {
    /// Builds what the cache lacks; with a full cache this takes no time.
    pub(crate) fn build(layout: &Layout) -> Result<Self> {
        Ok(Self {
            kubernetes: go::build(layout, &KUBERNETES)?,
            etcd: go::build(layout, &ETCD)?,
            containerd: go::build(layout, &CONTAINERD)?,
            coredns: go::build(layout, &COREDNS)?,
            netpol: go::build(layout, &NETPOL)?,
            versitygw: go::build(layout, &VERSITYGW)?,
            pause: go::build(layout, &PAUSE)?,
            helm: go::build(layout, &HELM)?,
            kubeconform: go::build(layout, &KUBECONFORM)?,
            npm: npm::install(layout)?,
        })
    }

    /// Fills the cluster's `bin` directory with links to every tool.
    pub(crate) fn link(&self, layout: &Layout) -> Result<()> {
        fs::create_dir_all(layout.bin()).with_context(|| format!("{} can't be created", layout.bin().display()))?;
        for built in [
            &self.kubernetes,
            &self.etcd,
            &self.containerd,
            &self.coredns,
            &self.netpol,
            &self.versitygw,
            &self.helm,
            &self.kubeconform,
        ] {
            for entry in fs::read_dir(&built.directory)? {
                link(layout, &entry?.path())?;
            }
        }
        for tool in [self.npm.anvil(), self.npm.cast(), self.npm.forge()] {
            link(layout, &tool)?;
        }
        Ok(())
    }
}

/// Links one tool into the cluster's `bin` directory.
pub(crate) fn link(layout: &Layout, tool: &Path) -> Result<()> {
    let name = tool.file_name().with_context(|| format!("{} has no file name", tool.display()))?;
    let link = layout.bin().join(name);
    symlink(tool, &link).with_context(|| format!("{} can't be linked", link.display()))
}
