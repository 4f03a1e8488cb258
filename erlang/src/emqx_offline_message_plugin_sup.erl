%% Which processes there are, and who is started again with whom: who comes later in the list, with those before.
%%
%% The gates come first: clients have their subscriptions in them, and must not lose them because something else failed.
-module(emqx_offline_message_plugin_sup).
-behaviour(supervisor).

-export([start_link/0, start_gates/0, start_gate/1, init/1]).

-define(GATES, emqx_omp_gates).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, all).

start_gates() -> supervisor:start_link({local, ?GATES}, ?MODULE, gates).

%% One for a client; it is not started again.
start_gate(Client) -> supervisor:start_child(?GATES, [Client]).

init(gates) ->
    Gate = #{id => gate, start => {emqx_omp_gate, start_link, []}, restart => temporary},
    {ok, {#{strategy => simple_one_for_one}, [Gate]}};
init(all) ->
    Gates = #{id => gates, start => {?MODULE, start_gates, []}, type => supervisor},
    Others = [
        #{id => Module, start => {Module, start_link, []}, shutdown => Time}
     || {Module, Time} <- [{emqx_omp_sessions, 5000}, {emqx_omp_engine, 20000}, {emqx_omp_link, 5000}]
    ],
    {ok, {#{strategy => rest_for_one, intensity => 10, period => 60}, [Gates | Others]}}.
