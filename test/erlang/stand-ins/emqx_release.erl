%% Stands in for EMQX's: the release that is played.
-module(emqx_release).

-export([version/0]).

version() -> emqx_stand_ins:get(release, "6.0.1").
