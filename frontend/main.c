/* quern: the command line. Looks the subcommand up in commands.def and exits with its status. */
#include <stdio.h>
#include <string.h>
#include "command.h"

const qn_command qn_commands[] = {
#define QN_COMMAND(name, usage, doc) {#name, usage, doc, command_##name},
#include "commands.def"
    {NULL, NULL, NULL, NULL}};

static qn_status run(int argc, char **argv) {
  if (argc < 2) {
    qn_options none = {0};
    QN_TRY(command_help(&none));
    return QN_EIO;
  }
  if (strcmp(argv[1], "--version") == 0) {
    printf("quern %s\n", QUERN_VERSION);
    return QN_OK;
  }
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) argv[1] = "help";
  qn_options options = {0};
  QN_TRY(qn_parse_options(argc, argv, &options));
  for (const qn_command *c = qn_commands; c->name; c++) {
    if (strcmp(c->name, options.command) != 0) continue;
    if (!options.help) return c->run(&options);
    qn_print_command_help(stdout, c);
    return QN_OK;
  }
  return qn_bug("command '%s' has no row", options.command);
}

int main(int argc, char **argv) {
  qn_status status = run(argc, argv);
  if (fflush(stdout) != 0 && status == QN_OK)
    status = qn_io_error("standard output", "cannot write");
  return (int)status;
}
