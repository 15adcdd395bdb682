<#
.SYNOPSIS
Installs the driver of a package folder and lets the existing OpenVPN adapters use it.

.DESCRIPTION
Looks first, and says what is wrong before anything is changed: the package's files, its architecture, that test signing is on where
the signature needs it, that the files are signed by the given certificate. Then the certificate goes to the machine's stores Root and
TrustedPublisher, the package to the driver store, and all adapters with OpenVPN's hardware id get this driver, whichever Windows
would rank higher. OpenVPN's own driver stays in the store; uninstall.ps1 brings it back to the adapters.

Running it again changes nothing that is done already.

Exit status: 0 done, 1 something failed, 3 restart the machine, then the driver is in force.

.PARAMETER Package
The folder with ovpn-dco.inf, ovpn-dco.sys and ovpn-dco.cat of this machine's architecture.

.PARAMETER Certificate
The certificate of a test signature. Default: the one *.cer in the package's folder, or in the one above.

.PARAMETER StoreOnly
Adds the package to the driver store and leaves the adapters as they are: Windows chooses by rank when it next looks.

.EXAMPLE
.\install.ps1 -Package ..\x64

.EXAMPLE
.\install.ps1 -Package ..\x64 -WhatIf

Tells each step and changes nothing.
#>
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'Medium')]
param(
    [Parameter(Mandatory)] [string] $Package,
    [string] $Certificate,
    [switch] $StoreOnly
)

Set-StrictMode -Version 3
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'common.ps1')

function Assert-Package([string] $Folder) {
    foreach ($name in $PackageFiles) {
        if (-not (Test-Path -LiteralPath (Join-Path $Folder $name) -PathType Leaf)) {
            throw "-Package: expected $name in '$Folder', found none"
        }
    }
    $inf = Get-Content -LiteralPath (Join-Path $Folder 'ovpn-dco.inf') -Raw
    if ($inf -notmatch "(?m)^\s*Provider\s*=\s*`"$([regex]::Escape($Provider))`"") {
        throw "-Package: expected a package of '$Provider', and '$Folder' has another provider's"
    }
    # The environment of an emulated PowerShell names the wrong processor.
    $processor = (Get-CimInstance Win32_Processor | Select-Object -First 1).Architecture
    $wanted = @{ 9 = 'NTamd64'; 12 = 'NTarm64' }[[int] $processor]
    if (-not $wanted) { throw "expected an x64 or ARM64 processor, found number $processor" }
    if ($inf -notmatch "(?m)^\s*\[[^\]]*\.$wanted\.") {
        throw "-Package: expected a package for $wanted, and '$Folder' is for another architecture"
    }
}

function Find-Certificate([string] $Folder) {
    if ($Certificate) { return (Resolve-Path -LiteralPath $Certificate).ProviderPath }
    foreach ($place in $Folder, (Split-Path -Parent $Folder)) {
        $found = @(Get-ChildItem -LiteralPath $place -Filter *.cer -File)
        if ($found.Count -gt 1) { throw "-Certificate: expected one *.cer in '$place', found $($found.Count): name one" }
        if ($found.Count -eq 1) { return $found[0].FullName }
    }
}

# The files have to be signed by what is about to be trusted, or by somebody the machine trusts already.
function Assert-Signature([string] $Folder, $Signer) {
    foreach ($name in 'ovpn-dco.sys', 'ovpn-dco.cat') {
        $signature = Get-AuthenticodeSignature -LiteralPath (Join-Path $Folder $name)
        if (-not $signature.SignerCertificate) { throw "${name}: expected a signature, found none" }
        if ($signature.Status -eq 'HashMismatch') { throw "${name}: the file was changed after it was signed" }
        if ($Signer) {
            if ($signature.SignerCertificate.Thumbprint -ne $Signer.Thumbprint) {
                throw "${name}: expected the signature of $($Signer.Thumbprint), found $($signature.SignerCertificate.Thumbprint)"
            }
        }
        elseif ($signature.Status -ne 'Valid') {
            throw "${name}: the signature is not trusted ($($signature.Status)) and there is no -Certificate"
        }
    }
}

function Import-Signer([string] $Path, $Signer) {
    foreach ($store in 'Root', 'TrustedPublisher') {
        if (Test-Path -LiteralPath "Cert:\LocalMachine\$store\$($Signer.Thumbprint)") { continue }
        if ($PSCmdlet.ShouldProcess("LocalMachine\$store", "trust $($Signer.Subject) $($Signer.Thumbprint)")) {
            $null = Import-Certificate -FilePath $Path -CertStoreLocation "Cert:\LocalMachine\$store" -Confirm:$false
            Add-Note 'Certificates' "$store\$($Signer.Thumbprint)"
            Write-Step "certificate: $($Signer.Subject), trusted in $store"
        }
    }
}

Assert-Administrator
$folder = (Resolve-Path -LiteralPath $Package).ProviderPath
Assert-Package $folder
$path = Find-Certificate $folder
$signer = if ($path) { New-Object Security.Cryptography.X509Certificates.X509Certificate2 $path }
Assert-Signature $folder $signer
if ($signer -and -not (Test-TestSigning)) {
    $message = 'expected test signing to be on: .\test-signing.ps1 -State On, restart, then run this again'
    if ($WhatIfPreference) { Write-Warning $message } else { throw $message }
}

if ($signer) { Import-Signer $path $signer }
$stored = Find-SamePackage $folder
if ($stored) {
    Write-Step "driver store: has it already, as $($stored.Inf)"
}
elseif ($PSCmdlet.ShouldProcess($folder, 'pnputil /add-driver')) {
    # Without /install: adapters are changed below, all together or not at all.
    $null = Invoke-Program pnputil '/add-driver', (Join-Path $folder 'ovpn-dco.inf')
    $stored = Find-SamePackage $folder
    if (-not $stored) { throw 'pnputil added the package, and the driver store does not show it' }
    Write-Step "driver store: added as $($stored.Inf), version $($stored.Version)"
}

$restart = $false
if (-not $StoreOnly) {
    $restart = Set-DcoDriver -Inf (Join-Path $folder 'ovpn-dco.inf')
    foreach ($adapter in Get-DcoAdapter) {
        Write-Step "adapter $($adapter.InstanceId): $($adapter.Provider), $($adapter.Inf), $($adapter.Status)"
    }
}
if ($restart) {
    Write-Step 'restart the machine: the driver is in force then'
    exit 3
}
exit 0
