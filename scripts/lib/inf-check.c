/*
 * inf-check FILE.inf ARCH FACTS: asks setupapi what an INF says, and compares it with the facts.
 *
 * It goes the way Windows goes: from the manufacturer to the models of this architecture, by the hardware id to the install section, from
 * there to files, service, registry entries and framework. What it finds is a list of `name = value`; FACTS has one line for each that
 * has to be there, and nothing else may be of the names that FACTS has. Built with mingw, run by Wine: the parser is Wine's.
 */

#include <windows.h>
#include <setupapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 512, LINES = 256 };

static HINF inf;
static char found[LINES][TEXT];
static unsigned found_count;
static int faults;

static void fault(const char *what, const char *detail)
{
    printf("FAIL %s: %s\n", what, detail);
    faults++;
}

static void add(const char *name, const char *value)
{
    if (found_count == LINES) {
        fault("the INF", "too many lines");
        return;
    }
    snprintf(found[found_count++], TEXT, "%s = %s", name, value);
}

/* Field `index` of a line, strings substituted; empty where there is none. */
static const char *field(INFCONTEXT *line, DWORD index)
{
    static char text[8][TEXT];
    static unsigned next;
    char *out = text[next++ % 8];
    if (!SetupGetStringFieldA(line, index, out, TEXT, NULL))
        out[0] = 0;
    /* A string that [Strings] does not have is left as it is written. %12% and the like are folders, and have become paths. */
    if (strchr(out, '%'))
        fault("a string without a value", out);
    if (strchr(out, '$') && strcmp(out, "$WINDOWS NT$"))
        fault("a placeholder that was not filled", out);
    return out;
}

/* The value of `key` in `section`. */
static const char *value(const char *section, const char *key)
{
    INFCONTEXT line;
    if (SetupFindFirstLineA(inf, section, key, &line))
        return field(&line, 1);
    fault(section, key);
    return "";
}

/* Every line `key = value` of a section; values with a comma between them are one. */
static void pairs(const char *section, const char *name)
{
    INFCONTEXT line;
    char full[TEXT], values[2 * TEXT];
    DWORD i;
    if (!SetupFindFirstLineA(inf, section, NULL, &line)) {
        fault("no section", section);
        return;
    }
    do {
        snprintf(full, sizeof full, "%s.%s", name, field(&line, 0));
        snprintf(values, TEXT, "%s", field(&line, 1));
        for (i = 2; i <= SetupGetFieldCount(&line); i++)
            snprintf(values + strlen(values), TEXT, ",%s", field(&line, i));
        add(full, values);
    } while (SetupFindNextLine(&line, &line));
}

/* The registry entries of a section named by a directive: `name.SUBKEY\VALUE = data`. */
static void registry(const char *section, const char *name)
{
    INFCONTEXT line;
    char full[TEXT];
    if (!SetupFindFirstLineA(inf, section, NULL, &line)) {
        fault("no section", section);
        return;
    }
    do {
        if (strcmp(field(&line, 1), "HKR"))
            fault("an entry outside of the device's own keys", field(&line, 1));
        snprintf(full, sizeof full, "%s.%s\\%s", name, field(&line, 2), field(&line, 3));
        add(full, field(&line, 5));
    } while (SetupFindNextLine(&line, &line));
}

static void files(const char *section)
{
    INFCONTEXT line;
    char folder[TEXT];
    const char *disk;
    if (!SetupFindFirstLineA(inf, section, NULL, &line)) {
        fault("no section", section);
        return;
    }
    snprintf(folder, sizeof folder, "%s", value("DestinationDirs", section));
    do {
        const char *name = field(&line, 1);
        add("file", name);
        add("file.dirid", folder);
        disk = value("SourceDisksFiles", name);
        value("SourceDisksNames", disk);
    } while (SetupFindNextLine(&line, &line));
}

static void service(const char *install)
{
    INFCONTEXT line;
    char section[TEXT], body[TEXT];
    snprintf(section, sizeof section, "%s.Services", install);
    if (!SetupFindFirstLineA(inf, section, "AddService", &line)) {
        fault("no AddService in", section);
        return;
    }
    add("service", field(&line, 1));
    add("service.flags", field(&line, 2));
    snprintf(body, sizeof body, "%s", field(&line, 3));
    pairs(body, "service");
}

static void framework(const char *install)
{
    INFCONTEXT line;
    char section[TEXT], body[TEXT];
    snprintf(section, sizeof section, "%s.Wdf", install);
    if (!SetupFindFirstLineA(inf, section, "KmdfService", &line)) {
        fault("no KmdfService in", section);
        return;
    }
    add("kmdf.service", field(&line, 1));
    snprintf(body, sizeof body, "%s", field(&line, 2));
    add("kmdf", value(body, "KmdfLibraryVersion"));
}

/* From the manufacturer to the install section; its name. */
static int model(const char *arch, char *install)
{
    INFCONTEXT line;
    char section[TEXT], decoration[TEXT];
    if (!SetupFindFirstLineA(inf, "Manufacturer", NULL, &line)) {
        fault("the INF", "no manufacturer");
        return 0;
    }
    snprintf(decoration, sizeof decoration, "%s", field(&line, 2));
    snprintf(section, sizeof section, "%s.%s", field(&line, 1), decoration);
    add("decoration", decoration);
    if (strncmp(decoration, "NT", 2) || strncmp(decoration + 2, arch, strlen(arch)) || decoration[2 + strlen(arch)] != '.')
        fault("the architecture", decoration);
    if (!SetupFindFirstLineA(inf, section, NULL, &line)) {
        fault("no section", section);
        return 0;
    }
    if (SetupGetLineCountA(inf, section) != 1)
        fault("more than one model", section);
    add("description", field(&line, 0));
    add("hardware id", field(&line, 2));
    snprintf(install, TEXT, "%s", field(&line, 1));
    return 1;
}

static void compare(const char *path)
{
    char wanted[LINES][TEXT], line[TEXT];
    unsigned count = 0, i, j, passed = 0;
    FILE *file = fopen(path, "r");
    if (!file) {
        fault("no facts", path);
        return;
    }
    while (count < LINES && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = 0;
        if (line[0] && line[0] != '#')
            snprintf(wanted[count++], TEXT, "%s", line);
    }
    fclose(file);
    for (i = 0; i < count; i++) {
        for (j = 0; j < found_count && strcmp(wanted[i], found[j]); j++) {}
        if (j < found_count)
            passed++;
        else
            fault("expected, and not in the INF", wanted[i]);
    }
    for (j = 0; j < found_count; j++) {
        for (i = 0; i < count && strcmp(wanted[i], found[j]); i++) {}
        if (i == count)
            fault("in the INF, and not expected", found[j]);
    }
    printf("%u passed, %d failed\n", passed, faults);
}

int main(int argc, char **argv)
{
    char install[TEXT], section[TEXT];
    UINT line = 0;
    INFCONTEXT context;
    if (argc != 4) {
        puts("usage: inf-check FILE.inf ARCH FACTS");
        return 2;
    }
    inf = SetupOpenInfFileA(argv[1], "Net", INF_STYLE_WIN4, &line);
    if (inf == INVALID_HANDLE_VALUE) {
        printf("FAIL %s: line %u, error 0x%lx\n0 passed, 1 failed\n", argv[1], line, GetLastError());
        return 1;
    }
    pairs("Version", "version");
    if (model(argv[2], install)) {
        if (SetupFindFirstLineA(inf, install, NULL, &context)) {
            do {
                const char *key = field(&context, 0);
                if (!strcmp(key, "CopyFiles"))
                    files(field(&context, 1));
                else if (!strcmp(key, "AddReg"))
                    registry(field(&context, 1), "registry");
                else {
                    snprintf(section, sizeof section, "install.%s", key);
                    add(section, field(&context, 1));
                }
            } while (SetupFindNextLine(&context, &context));
        } else
            fault("no section", install);
        snprintf(section, sizeof section, "%s.HW", install);
        registry(value(section, "AddReg"), "hardware");
        snprintf(section, sizeof section, "%s.CoInstallers", install);
        if (SetupFindFirstLineA(inf, section, NULL, &context))
            fault("a co-installer", section);
        service(install);
        framework(install);
    }
    SetupCloseInfFile(inf);
    compare(argv[3]);
    return faults ? 1 : 0;
}
