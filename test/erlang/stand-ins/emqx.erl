%% Stands in for EMQX's: where its data are.
-module(emqx).

-export([data_dir/0]).

data_dir() -> emqx_stand_ins:get(data_directory, "/nonexistent").
