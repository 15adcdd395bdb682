<#
.SYNOPSIS
Runs the conformance suite on this Windows machine's driver, under Driver Verifier.

.DESCRIPTION
For a virtual machine that may be spoilt: test signing is switched on, Driver Verifier watches ovpn-dco.sys, ndis.sys and
netadaptercx.sys, the driver is installed from a folder with ovpn-dco.inf, .sys and .cat (and the test certificate, *.cer), an
adapter is made if there is none, the suite runs, and what it left is collected: results, the driver's trace, Verifier's state,
dumps. At the end Verifier is off again.

Each step looks first whether it is done already, so the script may be run again at any time. Two steps need a restart: with
-Restart the script restarts the machine and goes on by itself after the next logon of this user, without it the script says so and
ends with exit status 3; run it again after the restart. -WhatIf tells what each step would do and changes nothing.

Exit status: 0 the suite passed and nothing was found, 1 something failed, 3 a restart is needed first.

.PARAMETER Package
The folder of the driver: ovpn-dco.inf, ovpn-dco.sys, ovpn-dco.cat, and *.cer of a test signature.

.PARAMETER Cli
dco-cli.exe (cargo xtask userland). Default: beside this script, then in the package.

.PARAMETER Results
Where everything is collected. Default: C:\ovpn-dco-test.

.PARAMETER Tapctl
tapctl.exe of OpenVPN 2.6 or later, which makes the adapter where there is none. Default: the installed OpenVPN's. devgen.exe of
the WDK does as well; see -Devgen.

.PARAMETER Devgen
devgen.exe of the WDK, used where there is no tapctl.exe.

.PARAMETER VerifierFlags
Driver Verifier's flags. Default: /standard. A number is passed with /flags, for example 0x20029.

.PARAMETER Depth
Calls in a sequence of which the suite tries every order.

.PARAMETER Seconds
How long the suite has peers come and go under traffic.

.PARAMETER Restart
Restarts the machine when a step needs it, and goes on afterwards.

.PARAMETER KeepVerifier
Leaves Verifier on, for further runs.

.EXAMPLE
.\test-vm.ps1 -Package C:\driver -Restart

.EXAMPLE
.\test-vm.ps1 -Package C:\driver -WhatIf
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Low')]
param(
    [Parameter(Mandatory)] [string] $Package,
    [string] $Cli,
    [string] $Results = 'C:\ovpn-dco-test',
    [string] $Tapctl = (Join-Path $env:ProgramFiles 'OpenVPN\bin\tapctl.exe'),
    [string] $Devgen,
    [string] $VerifierFlags = 'standard',
    [ValidateRange(2, 6)] [int] $Depth = 5,
    [ValidateRange(1, 86400)] [int] $Seconds = 60,
    [switch] $Restart,
    [switch] $KeepVerifier
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'

$Watched = 'ovpn-dco.sys', 'ndis.sys', 'netadaptercx.sys'
$ResumeKey = 'HKLM:\Software\Microsoft\Windows\CurrentVersion\RunOnce'
$ResumeName = 'ovpn-dco-test-vm'
$TraceName = 'ovpn-dco-test'
# PLA_E_DCS_NOT_FOUND: there is no such session.
$NoSuchTrace = -2144337918

. (Join-Path $PSScriptRoot 'common.ps1')

# With the time, for runs of hours.
function Write-Step([string] $Text) {
    Write-Information ('[{0:HH:mm:ss}] {1}' -f (Get-Date), $Text) -InformationAction Continue
}

function Assert-Machine {
    Assert-Administrator
    foreach ($name in $PackageFiles) {
        if (-not (Test-Path -LiteralPath (Join-Path $Package $name))) {
            throw "-Package: expected $name in '$Package', found none"
        }
    }
}

function Find-Cli {
    $candidates = @($Cli, (Join-Path $PSScriptRoot 'dco-cli.exe'), (Join-Path $Package 'dco-cli.exe'))
    $found = $candidates | Where-Object { $_ -and (Test-Path -LiteralPath $_ -PathType Leaf) } | Select-Object -First 1
    if (-not $found) {
        throw "-Cli: expected dco-cli.exe at one of: $(($candidates | Where-Object { $_ }) -join ', ')"
    }
    (Resolve-Path -LiteralPath $found).ProviderPath
}

# --- steps: each says whether a restart is needed before the next one -----------------------------------------------------------

function Enable-TestSigning {
    [CmdletBinding(SupportsShouldProcess)]
    param()
    if (Test-TestSigning) {
        Write-Step 'test signing: on'
        return $false
    }
    if ((Invoke-Program bcdedit '/enum', '{current}') -match 'testsigning\s+Yes') {
        Write-Step 'test signing: on after a restart'
        return $true
    }
    if ($PSCmdlet.ShouldProcess('boot entry {current}', 'bcdedit /set testsigning on')) {
        # Refused while Secure Boot is on, and says so.
        $null = Invoke-Program bcdedit '/set', '{current}', 'testsigning', 'on'
        Write-Step 'test signing: switched on'
    }
    $true
}

function Enable-Verifier {
    [CmdletBinding(SupportsShouldProcess)]
    param()
    $state = Invoke-Program verifier '/querysettings' -Allowed 0, 1, 2
    $missing = @($Watched | Where-Object { $state -notmatch [regex]::Escape($_) })
    if ($missing.Count -eq 0) {
        # What is set is in force for a driver once it has been loaded after a restart.
        $live = Invoke-Program verifier '/query' -Allowed 0, 1, 2
        $needed = $live -notmatch 'ndis\.sys'
        Write-Step ('Verifier: set' + $(if ($needed) { ', in force after a restart' } else { ' and in force' }))
        return $needed
    }
    $flags = if ($VerifierFlags -eq 'standard') { @('/standard') } else { @('/flags', $VerifierFlags) }
    if ($PSCmdlet.ShouldProcess($Watched -join ' ', "verifier $flags /driver")) {
        # 2 is success with a restart needed.
        $null = Invoke-Program verifier ($flags + '/driver' + $Watched) -Allowed 0, 2
        Write-Step 'Verifier: switched on'
    }
    $true
}

function Enable-Dump {
    [CmdletBinding(SupportsShouldProcess)]
    param()
    $key = 'HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl'
    # A kernel dump, which keeps the pool.
    if ((Get-ItemProperty $key).CrashDumpEnabled -ne 2 -and $PSCmdlet.ShouldProcess($key, 'CrashDumpEnabled = 2')) {
        Set-ItemProperty $key -Name CrashDumpEnabled -Value 2 -Type DWord
        Write-Step 'dumps: of the kernel'
    }
}

function Install-TestDriver {
    [CmdletBinding(SupportsShouldProcess)]
    param()
    foreach ($certificate in Get-ChildItem -LiteralPath $Package -Filter *.cer) {
        foreach ($store in 'Root', 'TrustedPublisher') {
            if ($PSCmdlet.ShouldProcess("LocalMachine\$store", "import $($certificate.Name)")) {
                $null = Import-Certificate -FilePath $certificate.FullName -CertStoreLocation "Cert:\LocalMachine\$store"
            }
        }
    }
    $inf = Join-Path $Package 'ovpn-dco.inf'
    if ($PSCmdlet.ShouldProcess($inf, 'pnputil /add-driver /install')) {
        # 259: no better than what the device has; 3010: installed, restart needed.
        $null = Invoke-Program pnputil '/add-driver', $inf, '/install' -Allowed 0, 259, $RestartNeeded
        if ($LASTEXITCODE -eq $RestartNeeded) {
            Write-Step 'driver: installed, in force after a restart'
            return $true
        }
        Write-Step 'driver: in the store'
    }
    $false
}

function Get-Adapter {
    Get-PnpDevice -Class Net -PresentOnly -ErrorAction SilentlyContinue | Where-Object {
        $ids = (Get-PnpDeviceProperty -InstanceId $_.InstanceId -KeyName DEVPKEY_Device_HardwareIds -ErrorAction SilentlyContinue).Data
        $ids -contains $HardwareId -or $ids -contains "root\$HardwareId"
    }
}

function New-TestAdapter {
    [CmdletBinding(SupportsShouldProcess)]
    param()
    if (Get-Adapter) {
        Write-Step 'adapter: present'
        return
    }
    if (Test-Path -LiteralPath $Tapctl -PathType Leaf) {
        if ($PSCmdlet.ShouldProcess($HardwareId, "$Tapctl create")) {
            $null = Invoke-Program $Tapctl 'create', '--hwid', $HardwareId
        }
    }
    elseif ($Devgen -and (Test-Path -LiteralPath $Devgen -PathType Leaf)) {
        if ($PSCmdlet.ShouldProcess($HardwareId, "$Devgen /add")) {
            $null = Invoke-Program $Devgen '/add', '/bus', 'ROOT', '/hardwareid', $HardwareId
            $null = Invoke-Program pnputil '/scan-devices'
        }
    }
    else {
        throw "-Tapctl: expected tapctl.exe of OpenVPN 2.6 at '$Tapctl' or -Devgen, found neither; there is no adapter"
    }
    if ($WhatIfPreference) { return }
    $deadline = (Get-Date).AddSeconds(60)
    while (-not (Get-Adapter | Where-Object Status -EQ 'OK')) {
        if ((Get-Date) -gt $deadline) {
            $state = Get-Adapter | Format-List -Property @('Status', 'Problem') | Out-String
            throw "adapter: expected one that works within 60 s, got: $state"
        }
        Start-Sleep -Milliseconds 500
    }
    Write-Step 'adapter: made'
}

function Request-Restart {
    [CmdletBinding(SupportsShouldProcess)]
    param()
    if (-not $Restart) {
        Write-Step 'restart the machine, then run this again'
        exit 3
    }
    $words = foreach ($parameter in $script:Given.GetEnumerator()) {
        if ($parameter.Value -is [switch]) { if ($parameter.Value) { "-$($parameter.Key)" } }
        else { "-$($parameter.Key) '$("$($parameter.Value)".Replace("'", "''"))'" }
    }
    $command = "& '$($PSCommandPath.Replace("'", "''"))' $($words -join ' ')"
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($command))
    if ($PSCmdlet.ShouldProcess($env:COMPUTERNAME, 'go on after the next logon, and restart')) {
        # The exclamation mark keeps the entry until the command has ended: a restart in the middle runs it again.
        $value = "powershell.exe -NoExit -ExecutionPolicy Bypass -EncodedCommand $encoded"
        Set-ItemProperty $ResumeKey -Name "!$ResumeName" -Value $value
        Restart-Computer -Force
    }
    exit 3
}

# --- the run --------------------------------------------------------------------------------------------------------------------

# The bug checks since then, as the system log has them.
function Get-BugCheck([datetime] $Since) {
    $filter = @{ LogName = 'System'; ProviderName = 'Microsoft-Windows-WER-SystemErrorReporting'; Id = 1001; StartTime = $Since }
    @(Get-WinEvent -FilterHashtable $filter -ErrorAction SilentlyContinue)
}

function Start-Tracing([string] $Folder) {
    # NDIS, AFD and the kernel's own view of the driver. A session that a broken run left is ended first.
    $null = Invoke-Program logman 'stop', $TraceName, '-ets' -Allowed @(0, $NoSuchTrace)
    $null = Invoke-Program logman 'create', 'trace', $TraceName, '-ets', '-o', (Join-Path $Folder 'trace.etl'), '-f', 'bincirc',
        '-max', '256', '-p', 'Microsoft-Windows-NDIS'
}

function Stop-Tracing {
    $null = Invoke-Program logman 'stop', $TraceName, '-ets' -Allowed @(0, $NoSuchTrace)
}

function Invoke-Suite([string] $Program, [string] $Folder) {
    Invoke-Program $Program 'version' | Set-Content (Join-Path $Folder 'version.txt')
    $arguments = 'conform', '--depth', $Depth, '--seconds', $Seconds, '--json', (Join-Path $Folder 'conform.json'), '--junit',
        (Join-Path $Folder 'conform.xml')
    & $Program @arguments | Tee-Object -FilePath (Join-Path $Folder 'conform.txt') | Out-Host
    $LASTEXITCODE
}

function Export-Evidence([string] $Folder) {
    Invoke-Program verifier '/query' -Allowed 0, 1, 2 | Set-Content (Join-Path $Folder 'verifier.txt')
    Invoke-Program verifier '/querysettings' -Allowed 0, 1, 2 | Set-Content (Join-Path $Folder 'verifier-settings.txt')
    Invoke-Program pnputil '/enum-drivers' | Set-Content (Join-Path $Folder 'drivers.txt')
    Get-Adapter | Format-List * | Out-String | Set-Content (Join-Path $Folder 'adapter.txt')
    Get-ComputerInfo | Out-String | Set-Content (Join-Path $Folder 'machine.txt')
    $dumps = @("$env:SystemRoot\MEMORY.DMP") + @(Get-ChildItem "$env:SystemRoot\Minidump\*.dmp" -ErrorAction SilentlyContinue)
    foreach ($dump in $dumps) {
        if (Test-Path -LiteralPath $dump) { Copy-Item -LiteralPath $dump -Destination $Folder }
    }
}

# Takes the device away and back: what the driver leaves at unload, Verifier finds then.
function Test-Unload {
    foreach ($adapter in Get-Adapter) {
        Disable-PnpDevice -InstanceId $adapter.InstanceId -Confirm:$false
        Enable-PnpDevice -InstanceId $adapter.InstanceId -Confirm:$false
    }
}

function Disable-Verifier {
    [CmdletBinding(SupportsShouldProcess)]
    param()
    if ($KeepVerifier) { return }
    if ($PSCmdlet.ShouldProcess($Watched -join ' ', 'verifier /reset')) {
        $null = Invoke-Program verifier '/reset' -Allowed 0, 2
        Write-Step 'Verifier: off after the next restart'
    }
}

$script:Given = @{}
foreach ($parameter in $PSBoundParameters.GetEnumerator()) { $script:Given[$parameter.Key] = $parameter.Value }
$Package = (Resolve-Path -LiteralPath $Package).ProviderPath
$script:Given['Package'] = $Package
Assert-Machine
$program = Find-Cli

$needed = Enable-TestSigning
$needed = (Enable-Verifier) -or $needed
Enable-Dump
# A test-signed driver loads only after test signing is in force.
if ($needed -and -not $WhatIfPreference) { Request-Restart }
if (Install-TestDriver) { Request-Restart }
New-TestAdapter
if ($WhatIfPreference) {
    Write-Step "would run $program conform --depth $Depth --seconds $Seconds, collect the evidence in $Results, and reset Verifier"
    exit 0
}

# After a crash the machine comes up again here: the mark of the run before is still there.
$mark = Join-Path $Results 'running.txt'
$null = New-Item -ItemType Directory -Force -Path $Results
if (Test-Path -LiteralPath $mark) {
    $began = Get-Date (Get-Content -LiteralPath $mark -First 1)
    $folder = Get-Content -LiteralPath $mark | Select-Object -Skip 1 -First 1
    Export-Evidence $folder
    Remove-Item -LiteralPath $mark
    Disable-Verifier
    $checks = Get-BugCheck $began
    $checks | Format-List -Property @('TimeCreated', 'Message') | Out-String | Set-Content (Join-Path $folder 'bugchecks.txt')
    Write-Step "FAIL: the run of $began did not end: $($checks.Count) bug checks; evidence in $folder"
    exit 1
}
$began = Get-Date
$folder = Join-Path $Results ('{0:yyyyMMdd-HHmmss}' -f $began)
$null = New-Item -ItemType Directory -Force -Path $folder
Set-Content -LiteralPath $mark -Value ('{0:o}' -f $began), $folder
# So that a crash in the middle is found and told of.
if ($Restart) {
    $words = "& '$($PSCommandPath.Replace("'", "''"))' -Package '$($Package.Replace("'", "''"))' -Results '$($Results.Replace("'", "''"))'"
    $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($words))
    Set-ItemProperty $ResumeKey -Name "!$ResumeName" -Value "powershell.exe -NoExit -ExecutionPolicy Bypass -EncodedCommand $encoded"
}
$status = 1
try {
    Start-Tracing $folder
    $status = Invoke-Suite $program $folder
    Test-Unload
    # Once more on the device that came back: short, for it to be known to work.
    $null = Invoke-Program $program 'conform', '--only', 'calls'
}
finally {
    Stop-Tracing
    Export-Evidence $folder
    Disable-Verifier
    Remove-Item -LiteralPath $mark
    Remove-ItemProperty $ResumeKey -Name "!$ResumeName" -ErrorAction SilentlyContinue
}
Write-Step "$(if ($status -eq 0) { 'passed' } else { 'FAIL' }); evidence in $folder"
exit $(if ($status -eq 0) { 0 } else { 1 })
