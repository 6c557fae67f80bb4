//! Functions that cards of this kind don't support, or that no one needs from the double.
//!
//! They must exist all the same: a Go program that links NVML lazily ends at the first call of a
//! function that the library lacks.
#![allow(unsafe_code, reason = "exported to C; see `abi`")]

use nvml_wrapper_sys::bindings::{nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED, nvmlReturn_t};

/// Whatever the arguments are, they are not looked at: the C convention leaves them to the caller.
macro_rules! not_supported {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> nvmlReturn_t {
            nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED
        }
    )*};
}

// Partitions (MIG) are off; no vGPU; no confidential computing; one node without NVLink fabric.
not_supported! {
    nvmlDeviceGetAttributes_v2
    nvmlDeviceGetComputeInstanceId
    nvmlDeviceGetGpuInstanceId
    nvmlDeviceGetGpuInstanceProfileInfo
    nvmlDeviceGetGpuInstancePossiblePlacements_v2
    nvmlDeviceSetMigMode
    nvmlDeviceGetVirtualizationMode
    nvmlDeviceGetHostVgpuMode
    nvmlDeviceGetConfComputeGpuAttestationReport
    nvmlDeviceGetConfComputeGpuCertificate
    nvmlSystemGetConfComputeState
    nvmlSystemGetConfComputeGpusReadyState
    nvmlSystemGetConfComputeCapabilities
    nvmlDeviceGetGpuFabricInfo
    nvmlDeviceGetGpuFabricInfoV
    nvmlDeviceGetNvLinkState
    nvmlDeviceGetNvLinkVersion
    nvmlDeviceGetNvLinkCapability
    nvmlDeviceGetNvLinkRemotePciInfo_v2
    nvmlDeviceGetNvLinkRemoteDeviceType
    nvmlDeviceGetAddressingMode
    nvmlDeviceGetP2PStatus
    nvmlDeviceGetTopologyNearestGpus
    nvmlSystemGetTopologyGpuSet
    nvmlDeviceGetCpuAffinity
    nvmlDeviceGetMemoryAffinity
    nvmlDeviceGetNumaNodeId
}

// Passively cooled cards without fans; nothing keeps samples, accounts or counters.
not_supported! {
    nvmlDeviceGetFanSpeed
    nvmlDeviceGetFanSpeed_v2
    nvmlDeviceGetNumFans
    nvmlDeviceGetSamples
    nvmlDeviceGetFieldValues
    nvmlDeviceGetProcessUtilization
    nvmlDeviceGetAccountingMode
    nvmlDeviceGetAccountingStats
    nvmlDeviceGetAccountingPids
    nvmlDeviceGetMemoryErrorCounter
    nvmlDeviceGetDetailedEccErrors
    nvmlDeviceGetRetiredPages
    nvmlDeviceGetRetiredPages_v2
    nvmlDeviceGetRetiredPagesPendingStatus
    nvmlDeviceGetRemappedRows
    nvmlDeviceGetPcieThroughput
    nvmlDeviceGetPcieReplayCounter
    nvmlDeviceGetViolationStatus
    nvmlDeviceGetTotalEnergyConsumption
    nvmlDeviceGetTemperatureThreshold
    nvmlDeviceGetApplicationsClock
    nvmlDeviceGetDefaultApplicationsClock
    nvmlDeviceGetSupportedMemoryClocks
    nvmlDeviceGetSupportedGraphicsClocks
    nvmlDeviceGetPowerManagementLimitConstraints
    nvmlDeviceGetInforomVersion
    nvmlDeviceGetInforomImageVersion
    nvmlDeviceGetGspFirmwareVersion
    nvmlDeviceGetGspFirmwareMode
    nvmlSystemGetProcessName
}
