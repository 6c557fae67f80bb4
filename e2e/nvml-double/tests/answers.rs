//! Loads the built library as its users do, through `nvml-wrapper`, from a driver root of its own.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nvml_double_state::{DRIVER_VERSION, Gpu, Model, STATE_FILE_PREFIX, State, StateFile};
use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{Brand, Clock, TemperatureSensor, TopologyLevel};
use nvml_wrapper::enums::device::DeviceArchitecture;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;

/// A driver root as on a node: library, state beside it, device nodes. Plain files serve as nodes,
/// because the library only asks whether it may open them.
struct DriverRoot {
    folder: tempfile::TempDir,
}

impl DriverRoot {
    fn with(model: Model, cards: u32) -> Self {
        let root = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(root.libraries()).unwrap();
        fs::create_dir_all(root.devices()).unwrap();
        // A copy: the loader shares what has the same inode, and every root needs its own library.
        fs::copy(built_library(), root.library()).unwrap();
        root.state().create(&State::new(model, cards).unwrap()).unwrap();
        for minor in 0..cards {
            File::create(root.node(minor)).unwrap();
        }
        root
    }

    fn libraries(&self) -> PathBuf {
        self.folder.path().join("usr/lib64")
    }

    fn devices(&self) -> PathBuf {
        self.folder.path().join("dev")
    }

    fn library(&self) -> PathBuf {
        self.libraries().join(format!("libnvidia-ml.so.{DRIVER_VERSION}"))
    }

    fn node(&self, minor: u32) -> PathBuf {
        self.devices().join(format!("nvidia{minor}"))
    }

    fn state(&self) -> StateFile {
        StateFile::at(self.libraries().join(format!("{STATE_FILE_PREFIX}{DRIVER_VERSION}")))
    }

    fn load(&self) -> Result<Nvml, NvmlError> {
        Nvml::builder().lib_path(self.library().as_os_str()).init()
    }
}

/// Cargo builds the library into the folder of this test.
fn built_library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libnvidia_ml_double.so")
}

#[test]
fn each_model_reports_what_its_data_sheet_says() {
    let expected = [
        (Model::h100(), DeviceArchitecture::Hopper, (9, 0), 700_000),
        (Model::a100(), DeviceArchitecture::Ampere, (8, 0), 400_000),
        (Model::l40s(), DeviceArchitecture::Ada, (8, 9), 350_000),
        (Model::t4(), DeviceArchitecture::Turing, (7, 5), 70_000),
    ];
    for (model, architecture, capability, limit) in expected {
        let root = DriverRoot::with(model.clone(), 2);
        let nvml = root.load().unwrap();
        assert_eq!(nvml.device_count().unwrap(), 2);
        let device = nvml.device_by_index(1).unwrap();
        assert_eq!(device.name().unwrap(), model.name);
        assert_eq!(device.architecture().unwrap(), architecture);
        let found = device.cuda_compute_capability().unwrap();
        assert_eq!((found.major, found.minor), capability);
        assert_eq!(device.enforced_power_limit().unwrap(), limit);
        assert_eq!(device.memory_info().unwrap().total, model.memory_bytes);
        assert_eq!(device.brand().unwrap(), Brand::Nvidia);
        assert_eq!(device.board_part_number().unwrap(), model.board_part_number);
        assert_eq!(device.mig_mode().is_ok(), model.mig_capable);
    }
}

#[test]
fn the_driver_names_its_versions() {
    let root = DriverRoot::with(Model::h100(), 1);
    let nvml = root.load().unwrap();
    assert_eq!(nvml.sys_driver_version().unwrap(), "550.163.01");
    assert_eq!(nvml.sys_nvml_version().unwrap(), "12.550.163.01");
    assert_eq!(nvml.sys_cuda_driver_version().unwrap(), 12_040);
}

#[test]
fn a_card_is_found_by_each_of_its_names() {
    let root = DriverRoot::with(Model::h100(), 8);
    let nvml = root.load().unwrap();
    let device = nvml.device_by_index(5).unwrap();
    let card = root.state().read().unwrap().cards[5].clone();
    assert_eq!(device.uuid().unwrap(), card.uuid);
    assert_eq!(device.serial().unwrap(), card.serial);
    let address = device.pci_info().unwrap();
    assert_eq!(address.bus_id, card.pci_bus_id());
    assert_eq!(address.pci_device_id, 0x2330_10DE);
    for found in [
        nvml.device_by_uuid(card.uuid.as_str()).unwrap(),
        nvml.device_by_pci_bus_id(address.bus_id.as_str()).unwrap(),
        nvml.device_by_pci_bus_id(&address.bus_id[4..]).unwrap(),
    ] {
        assert_eq!((found.index().unwrap(), found.minor_number().unwrap()), (5, 5));
    }
    assert!(matches!(nvml.device_by_index(8), Err(NvmlError::InvalidArg)));
    assert!(matches!(nvml.device_by_uuid("GPU-0"), Err(NvmlError::NotFound)));
}

#[test]
fn a_change_is_read_by_a_program_that_already_runs() {
    let root = DriverRoot::with(Model::h100(), 8);
    let nvml = root.load().unwrap();
    let device = nvml.device_by_index(3).unwrap();
    assert_eq!(device.utilization_rates().unwrap().gpu, 0);
    assert_eq!(device.power_usage().unwrap(), 70_000);
    root.state()
        .update(|state| {
            let gpu = Gpu::Index(3);
            state.set_utilization(&gpu, 73)?;
            state.set_memory_used(&gpu, 1 << 30)?;
            state.set_temperature(&gpu, Some(64))
        })
        .unwrap();
    assert_eq!(device.utilization_rates().unwrap().gpu, 73);
    assert_eq!(device.temperature(TemperatureSensor::Gpu).unwrap(), 64);
    assert_eq!(device.power_usage().unwrap(), 529_900);
    assert_eq!(device.clock_info(Clock::SM).unwrap(), 1980);
    let memory = device.memory_info().unwrap();
    assert_eq!(memory.used, 1 << 30);
    assert_eq!(memory.free + memory.used + memory.reserved, memory.total);
    assert_eq!(nvml.device_by_index(2).unwrap().utilization_rates().unwrap().gpu, 0);
}

#[test]
fn only_cards_whose_nodes_are_there_are_seen_and_they_are_numbered_anew() {
    let root = DriverRoot::with(Model::h100(), 8);
    for minor in [0, 1, 2, 4, 5, 7] {
        fs::remove_file(root.node(minor)).unwrap();
    }
    let nvml = root.load().unwrap();
    assert_eq!(nvml.device_count().unwrap(), 2);
    let minors: Vec<u32> = (0..2).map(|index| nvml.device_by_index(index).unwrap().minor_number().unwrap()).collect();
    assert_eq!(minors, [3, 6]);
    let hidden = root.state().read().unwrap().cards[0].uuid.clone();
    assert!(matches!(nvml.device_by_uuid(hidden), Err(NvmlError::NotFound)));
}

#[test]
fn a_lost_card_answers_that_it_is_lost_and_the_others_go_on() {
    let root = DriverRoot::with(Model::h100(), 2);
    let nvml = root.load().unwrap();
    let device = nvml.device_by_index(1).unwrap();
    root.state().update(|state| state.lose(&Gpu::Index(1))).unwrap();
    assert!(matches!(device.utilization_rates(), Err(NvmlError::GpuLost)));
    assert!(matches!(nvml.device_by_index(1), Err(NvmlError::GpuLost)));
    assert!(device.uuid().unwrap().starts_with("GPU-"));
    assert_eq!(nvml.device_by_index(0).unwrap().utilization_rates().unwrap().gpu, 0);
    root.state().update(|state| state.restore(&Gpu::Index(1))).unwrap();
    assert_eq!(device.utilization_rates().unwrap().gpu, 0);
}

#[test]
fn an_xid_wakes_who_registered_for_that_card_and_nobody_sees_old_ones() {
    let root = DriverRoot::with(Model::h100(), 2);
    root.state().update(|state| state.raise_xid(&Gpu::Index(1), 13)).unwrap();
    let nvml = root.load().unwrap();
    let device = nvml.device_by_index(1).unwrap();
    let types = device.supported_event_types().unwrap();
    assert_eq!(types, EventTypes::CRITICAL_XID_ERROR);
    let events = device.register_events(types, nvml.create_event_set().unwrap()).unwrap();
    root.state().update(|state| state.raise_xid(&Gpu::Index(0), 31)).unwrap();

    let waiter = Instant::now();
    assert!(matches!(events.wait(200), Err(NvmlError::Timeout)));
    assert!(waiter.elapsed() >= Duration::from_millis(200));

    let state = root.state();
    std::thread::scope(|scope| {
        scope.spawn(|| state.update(|state| state.raise_xid(&Gpu::Index(1), 48)).unwrap());
        let event = events.wait(10_000).unwrap();
        assert_eq!(event.device.uuid().unwrap(), device.uuid().unwrap());
        assert!(matches!(event.event_data, Some(XidError::Value(48))), "{:?}", event.event_data);
    });
    assert!(matches!(events.wait(0), Err(NvmlError::Timeout)));
}

#[test]
fn cards_of_one_group_are_closer_than_those_of_two() {
    let root = DriverRoot::with(Model::h100(), 8);
    let nvml = root.load().unwrap();
    let level = |one, other| {
        let other = nvml.device_by_index(other).unwrap();
        nvml.device_by_index(one).unwrap().topology_common_ancestor(other).unwrap()
    };
    assert_eq!(level(0, 3), TopologyLevel::Node);
    assert_eq!(level(0, 4), TopologyLevel::System);
}

#[test]
fn what_no_card_has_is_refused_not_invented() {
    let root = DriverRoot::with(Model::h100(), 1);
    let nvml = root.load().unwrap();
    let device = nvml.device_by_index(0).unwrap();
    assert!(matches!(device.fan_speed(0), Err(NvmlError::NotSupported)));
    assert!(matches!(device.total_energy_consumption(), Err(NvmlError::NotSupported)));
    assert_eq!(device.running_compute_processes().unwrap().len(), 0);
}

#[test]
fn without_a_state_there_is_no_driver() {
    let root = DriverRoot::with(Model::h100(), 1);
    fs::remove_file(root.state().path()).unwrap();
    assert!(matches!(root.load(), Err(NvmlError::DriverNotLoaded)));
}
