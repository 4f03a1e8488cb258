%% Starts and stops; EMQX's calls about configuration and health.
-module(emqx_offline_message_plugin_app).
-behaviour(application).

-export([start/2, prep_stop/1, stop/1]).
-export([on_config_changed/2, on_health_check/1]).

%% How long gates may take to open, in ms.
-define(OPENING, 5000).

start(_Type, _Arguments) ->
    case emqx_offline_message_plugin_sup:start_link() of
        {ok, Supervisor} ->
            %% The tables are there.
            emqx_omp_hooks:put_in(),
            emqx_omp_client:adopt_all(),
            {ok, Supervisor};
        {error, _} = Error ->
            Error
    end.

%% Before the processes end, so that no hook meets a half of them, and clients get their subscriptions back.
prep_stop(State) ->
    emqx_omp_hooks:take_out(),
    emqx_omp_client:open_gates(erlang:monotonic_time(millisecond) + ?OPENING),
    emqx_omp_hooks:take_out_last(),
    State.

stop(_State) -> ok.

on_config_changed(Old, New) -> emqx_omp_link:configure(Old, New).

on_health_check(_Options) -> emqx_omp_link:health().
