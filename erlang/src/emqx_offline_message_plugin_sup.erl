%% Which processes there are, and who is started again with whom: who comes later in the list, with those before.
-module(emqx_offline_message_plugin_sup).
-behaviour(supervisor).

-export([start_link/0, init/1]).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    Children = [
        #{id => Module, start => {Module, start_link, []}, shutdown => Time}
     || {Module, Time} <- [{emqx_omp_sessions, 5000}, {emqx_omp_engine, 20000}, {emqx_omp_link, 5000}]
    ],
    {ok, {#{strategy => rest_for_one, intensity => 10, period => 60}, Children}}.
