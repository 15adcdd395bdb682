# What the scripts of this folder share; each of them reads this file in. It does nothing by itself.
#
# Ours, here, is what this project's package says of itself: a driver package is ours by its provider and its files' names, an adapter
# or a certificate by a note that these scripts made when they added it. The hardware id says nothing: OpenVPN's own driver has the same.

$script:Provider = 'ovpn-dco in Rust'
$script:HardwareId = 'ovpn-dco'
$script:PackageFiles = 'ovpn-dco.inf', 'ovpn-dco.sys', 'ovpn-dco.cat'
# Values of the subkeys are named after what was added: instance ids of adapters, thumbprints of certificates.
$script:NotesKey = 'HKLM:\SOFTWARE\ovpn-dco-rust'

# Status of pnputil and of Windows Installer: done, in force after a restart.
$script:RestartNeeded = 3010

function Write-Step([string] $Text) {
    Write-Information $Text -InformationAction Continue
}

# Runs a program; its output is returned. A status that is not in $Allowed is an error with that output.
function Invoke-Program {
    param(
        [Parameter(Mandatory)] [string] $Program,
        [string[]] $Arguments,
        [int[]] $Allowed = @(0)
    )
    # Windows PowerShell makes errors of what a program writes to stderr, and the status is what counts.
    $before = $ErrorActionPreference
    $ErrorActionPreference = 'Continue'
    try {
        $output = & $Program @Arguments 2>&1 | Out-String
    }
    finally {
        $ErrorActionPreference = $before
    }
    if ($Allowed -notcontains $LASTEXITCODE) {
        throw "$Program $($Arguments -join ' '): exit status $LASTEXITCODE`n$output"
    }
    $output
}

function Assert-Administrator {
    $identity = [Security.Principal.WindowsPrincipal] [Security.Principal.WindowsIdentity]::GetCurrent()
    if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
        throw 'expected to run as administrator: start PowerShell with "Run as administrator"'
    }
}

# Whether the running system loads test-signed drivers, whatever the boot store says of the next start.
function Test-TestSigning {
    $options = (Get-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Control').SystemStartOptions
    $options -match '(^|\s)TESTSIGNING(\s|$)'
}

# --- notes ----------------------------------------------------------------------------------------------------------------------

# What these scripts added of that kind ('Adapters', 'Certificates') and have not removed since.
function Get-Note([string] $Kind) {
    $key = Join-Path $NotesKey $Kind
    if (Test-Path -LiteralPath $key) {
        (Get-Item -LiteralPath $key).Property
    }
}

function Add-Note([string] $Kind, [string] $Name) {
    $key = Join-Path $NotesKey $Kind
    if (-not (Test-Path -LiteralPath $key)) {
        $null = New-Item -Path $key -Force -Confirm:$false
    }
    $null = New-ItemProperty -LiteralPath $key -Name $Name -Value (Get-Date -Format o) -PropertyType String -Force -Confirm:$false
}

function Clear-Note([string] $Kind, [string] $Name) {
    Remove-ItemProperty -LiteralPath (Join-Path $NotesKey $Kind) -Name $Name -Confirm:$false
}

# --- driver packages ------------------------------------------------------------------------------------------------------------

# The driver packages in the store that serve the hardware id: Inf (oemN.inf), Provider, Version, Date, Folder, Ours.
function Get-DcoPackage {
    foreach ($driver in Get-WindowsDriver -Online -Verbose:$false) {
        if ((Split-Path -Leaf $driver.OriginalFileName) -ne 'ovpn-dco.inf') { continue }
        [pscustomobject]@{
            Inf      = $driver.Driver
            Provider = $driver.ProviderName
            Version  = [version] $driver.Version
            Date     = $driver.Date
            Folder   = Split-Path -Parent $driver.OriginalFileName
            Ours     = $driver.ProviderName -eq $Provider
        }
    }
}

# The package of the store whose files are byte for byte those of $Folder, if there is one.
function Find-SamePackage([string] $Folder) {
    foreach ($package in Get-DcoPackage) {
        $differs = $PackageFiles | Where-Object {
            $stored = Join-Path $package.Folder $_
            -not (Test-Path -LiteralPath $stored) -or
            (Get-FileHash -LiteralPath $stored).Hash -ne (Get-FileHash -LiteralPath (Join-Path $Folder $_)).Hash
        }
        if (-not $differs) { return $package }
    }
}

# --- adapters -------------------------------------------------------------------------------------------------------------------

# Every adapter with the hardware id: InstanceId, Status, Inf, Provider, Ours (the driver it has), Made (by adapter.ps1).
function Get-DcoAdapter {
    $made = @(Get-Note 'Adapters')
    foreach ($device in Get-PnpDevice -Class Net -PresentOnly -ErrorAction SilentlyContinue) {
        $properties = @{}
        $keys = 'DEVPKEY_Device_HardwareIds', 'DEVPKEY_Device_DriverInfPath', 'DEVPKEY_Device_DriverProvider'
        foreach ($property in Get-PnpDeviceProperty -InstanceId $device.InstanceId -KeyName $keys -ErrorAction SilentlyContinue) {
            $properties[$property.KeyName] = $property.Data
        }
        if (@($properties['DEVPKEY_Device_HardwareIds']) -notcontains $HardwareId) { continue }
        [pscustomobject]@{
            InstanceId = $device.InstanceId
            Status     = "$($device.Status)"
            Inf        = $properties['DEVPKEY_Device_DriverInfPath']
            Provider   = $properties['DEVPKEY_Device_DriverProvider']
            Ours       = $properties['DEVPKEY_Device_DriverProvider'] -eq $Provider
            Made       = $made -contains $device.InstanceId
        }
    }
}

# The calls of setupapi and newdev that have no cmdlet.
function Import-DeviceApi {
    if (-not ('OvpnDco.Devices' -as [type])) {
        Add-Type -Path (Join-Path $PSScriptRoot 'devices.cs')
    }
}

# Gives every adapter with the hardware id the driver of that INF, even where Windows ranks another one higher. All of them, because
# the drivers' service has one name, and so one image. True where a restart is needed.
function Set-DcoDriver {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory)] [string] $Inf)
    $adapters = @(Get-DcoAdapter)
    if ($adapters.Count -eq 0) {
        Write-Step 'adapters: none yet'
        return $false
    }
    if (-not $PSCmdlet.ShouldProcess(($adapters.InstanceId -join ', '), "use the driver of $Inf")) { return $false }
    Import-DeviceApi
    $restart = [OvpnDco.Devices]::UseDriver($HardwareId, $Inf)
    Write-Step "adapters: $($adapters.Count) with the driver of $Inf"
    $restart
}
